"""Predictions with the weights WiSE-FT chooses (Wortsman et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from discl.core.interfaces import Split
from discl.core.metric_names import higher_is_better

if TYPE_CHECKING:
    from torch import nn

    from discl.engine.training.loop import Fit


def wise_predictions(
    fit: Fit,
    untrained: nn.Module,
    alphas: Sequence[float],
    metric: str,
    splits: Mapping[str, Split],
) -> tuple[float, dict[str, Any]]:
    """The alpha with the best `metric` on val, and `<split>/wise_logits` [n, c] of every split.

    `untrained` is the network with its initial weights. `fit.eval_network` holds the chosen weights
    before and after.
    """
    from discl.engine.evaluation.wise_ft import wise

    val = fit.training_data.val
    network = fit.eval_network

    def score(candidate: Any) -> float:
        logits = fit.logits(val.pixels, candidate)
        value = fit.training_data.val_metrics(logits.argmax(1))[metric]
        return value if higher_is_better(metric) else -value

    chosen = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
    alpha, _ = wise(network, untrained.state_dict(), chosen, alphas, score)
    predictions = {
        f"{name}/wise_logits": fit.logits(split.pixels) for name, split in splits.items()
    }
    network.load_state_dict(chosen)
    return alpha, predictions
