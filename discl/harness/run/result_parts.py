"""Parts of a stored result, described also where their package is not installed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np

from discl.config.benchmark import MetricsTable
from discl.config.metrics import bound, built
from discl.core.class_counts import ClassCounts, Fractions
from discl.core.errors import UserError
from discl.core.interfaces import Ints, Metric
from discl.core.registry import find, names
from discl.core.result import Result
from discl.engine.evaluation.metrics import defined_as

STORED = ("title", "better", "unit", "overall", "by_group", "labels_only", "position")


class StoredMetric(Metric):
    """A metric that is not installed here, as its result describes it; it computes nothing."""

    def __init__(self, name: str, description: Mapping[str, Any]) -> None:
        known = {key: description[key] for key in STORED[1:] if key in description}
        self.__dict__.update(known)
        self._title = str(description.get("title", name))
        self._definition = str(description.get("definition", "of a package not installed here"))

    @property
    def title(self) -> str:
        """As the result says."""
        return self._title

    @property
    def definition(self) -> str:
        """As the result says."""
        return self._definition

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """NaN [] whatever the counts [..., c]: not measured."""
        return np.asarray(np.nan)


def metrics_of_run(identity: Mapping[str, Any]) -> dict[str, Metric]:
    """Every metric of a run by name, from the run's identity.

    Raises UserError where one of them is not installed here.
    """
    if missing := _not_installed(identity):
        raise UserError(
            f"metric {missing[0]!r} is not installed here, so its numbers cannot be computed;"
            " install the package that provides it"
        )
    return _installed(identity)


def metrics_of_result(result: Result) -> dict[str, Metric]:
    """Every metric of a result by name; one that is not installed is as the result describes it."""
    described = result.plugins.get("metrics", {})
    return {
        **_installed(result.identity),
        **{
            name: StoredMetric(name, described.get(name, {}))
            for name in _not_installed(result.identity)
        },
    }


def described_plugins(strategy: str, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """Description of parts of other packages, which a result holds for leaderboards.

    Empty where all parts are those of discl.
    """
    described: dict[str, Any] = {}
    if isinstance(names("strategies")[strategy], EntryPoint):
        described["strategy"] = {"ordered": is_ordered(strategy, [])}
    others = [name for name in metrics if isinstance(names("metrics")[name], EntryPoint)]
    if others:
        described["metrics"] = {
            name: {key: getattr(metrics[name], key) for key in STORED}
            | {"definition": defined_as(metrics[name])}
            for name in others
        }
    return described


def is_ordered(strategy: str, results: Sequence[Result]) -> bool:
    """Whether a strategy has an order of levels: as it says, or as its results say.

    Of a strategy that is not installed and whose results say nothing, nothing is credited to order.
    """
    if strategy in names("strategies"):
        return bool(getattr(find("strategies", strategy), "ordered", False))
    return any(result.plugins.get("strategy", {}).get("ordered", False) for result in results)


def _not_installed(identity: Mapping[str, Any]) -> list[str]:
    return sorted(set(_table(identity).extra) - set(names("metrics")))


def _installed(identity: Mapping[str, Any]) -> dict[str, Metric]:
    table = _table(identity)
    missing = _not_installed(identity)
    parameters = {
        name: chosen["parameters"]
        for name, chosen in identity.get("metric", {}).items()
        if name not in missing
    }
    extra = [name for name in table.extra if name not in missing]
    return built(bound(extra, table.conventions, parameters))


def _table(identity: Mapping[str, Any]) -> MetricsTable:
    return MetricsTable(**identity.get("metrics", {}))
