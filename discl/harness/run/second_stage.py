"""Applies the second stage of a benchmark to a trained network."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

from discl.core.hashing import seed_of
from discl.core.interfaces import SecondStage, TrainedFeatures
from discl.core.metric_names import higher_is_better

if TYPE_CHECKING:
    from torch import nn

    from discl.engine.training.loop import Fit


class StagedNetwork(NamedTuple):
    """What predicts, and the entries that the second stage adds to the cost of a run."""

    network: nn.Module
    cost: dict[str, float]


def check_classifier(fit: Fit, stage: SecondStage) -> None:
    """Raises UserError, before training, where a second stage needs a classifier and has none."""
    if not getattr(stage, "idle", False):
        from discl.engine.evaluation.classifier import classifier_of

        classifier_of(fit.eval_network)


def staged(fit: Fit, stage: SecondStage, metric: str) -> StagedNetwork:
    """The network of a fit whose weights are chosen, with its second stage.

    `metric` is the `val/<metric>` that chooses epochs. The network itself stays as it is.
    """
    if getattr(stage, "idle", False):
        return StagedNetwork(fit.eval_network, {})
    import torch
    from torch import nn

    from discl.engine.evaluation.classifier import BeforeClassifier, classifier_of

    data = fit.training_data
    trunk = BeforeClassifier(fit.eval_network)

    def features(pixels: Any) -> torch.Tensor:
        found = fit.logits(pixels, trunk)
        return torch.from_numpy(found).to(fit.device)

    of_val = features(data.val.pixels)

    def score(classifier: nn.Module) -> float:
        with torch.no_grad():
            guess = classifier.eval()(of_val).argmax(1).cpu().numpy()
        value = data.val_metrics(guess)[metric]
        return value if higher_is_better(metric) else -value

    outcome = stage.apply(
        TrainedFeatures(
            classifier=copy.deepcopy(classifier_of(fit.eval_network)),
            features=features(data.train.pixels),
            labels=torch.from_numpy(data.train.labels).to(fit.device),
            counts=fit.counts,
            score=score,
            batch=fit.config.batch,
            seed=seed_of("second stage", fit.seed) % 2**62,
        )
    )
    return StagedNetwork(
        nn.Sequential(trunk, outcome.classifier.eval()),
        {
            "second_stage_epochs": float(outcome.epochs),
            "second_stage_steps": float(outcome.steps),
        },
    )
