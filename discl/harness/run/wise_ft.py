"""What a run's weights would say if they were taken back some way to where training began
(WiSE-FT).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from discl.core.interfaces import Split

if TYPE_CHECKING:
    from discl.engine.training.loop import Fit
    from discl.harness.run.inputs import Feed


def wise_predictions(
    fit: Fit, feed: Feed, alphas: Sequence[float], metric: str, splits: Mapping[str, Split]
) -> tuple[float, dict[str, Any]]:
    """The alpha that val likes best, by `metric`, and `<split>/wise_logits` of every split.

    `fit.judged` holds the chosen weights before and after.
    """
    from discl.engine.evaluation.predict import logits_of
    from discl.engine.evaluation.wise_ft import wise

    val = fit.training_data.val
    network = fit.judged

    def score(candidate: Any) -> float:
        return fit.training_data.val_metrics(
            logits_of(candidate, val.pixels, feed.preprocess, fit.device).argmax(1)
        )[metric]

    # the network's first weights are decided by its seed: no copy of them has to wait through
    # training or in a checkpoint
    first = feed.network(fit.seed).state_dict()
    chosen = {key: tensor.detach().clone() for key, tensor in network.state_dict().items()}
    alpha, _ = wise(network, first, chosen, alphas, score)
    said = {
        f"{name}/wise_logits": logits_of(network, split.pixels, feed.preprocess, fit.device)
        for name, split in splits.items()
    }
    network.load_state_dict(chosen)
    return alpha, said
