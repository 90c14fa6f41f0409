"""The metrics of a benchmark, for tests that compute numbers of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discl.config.metrics import bound, built
from discl.core.interfaces import Metric
from discl.engine.evaluation.confusion import count_predictions
from discl.engine.evaluation.metrics import metrics_of


def metrics_with(extra: Sequence[str] = (), **conventions: Any) -> dict[str, Metric]:
    """The metrics of a benchmark that names `extra` and these conventions."""
    return built(bound(extra, conventions, {}))


DEFAULT = metrics_with()


def all_metrics(
    predictions: Mapping[str, Any], counts: np.ndarray, metrics: Mapping[str, Metric] = DEFAULT
) -> dict[str, float]:
    """Every metric of saved predictions; `counts` [c]."""
    return metrics_of(count_predictions(predictions, counts), counts, metrics)
