"""cRT (Kang et al. 2020): the classifier is drawn again and trained on class-balanced batches."""

from __future__ import annotations

from typing import Any

from discl.core.interfaces import SecondStageOutcome, TrainedFeatures
from discl.parts.second_stages.base.balanced import BalancedTraining


class ClassifierRetraining:
    """Cross-entropy on features that stay, from new weights; every class is drawn as often.

    `epochs` are of as many photos as there are. Features are those of the photos as they are,
    without augmentation; generated images play no part.
    """

    version = 1
    corrects_prior = True
    heads = ("linear", "cosine")

    def __init__(self, epochs: int = 10, lr: float = 0.1, weight_decay: float = 5e-4) -> None:
        """Settings:

        `epochs`: epochs of as many photos as there are.
        `lr`: learning rate of the new classifier.
        `weight_decay`: weight decay of the new classifier.
        """
        self._training = BalancedTraining(epochs, lr, weight_decay)

    def apply(self, trained: TrainedFeatures) -> SecondStageOutcome:
        """The retrained classifier."""
        import torch

        classifier: Any = trained.classifier
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(trained.seed)
            classifier.cpu().reset_parameters()
        classifier.to(trained.features.device)
        self._training.run(classifier, trained)
        return SecondStageOutcome(classifier, self._training.epochs, self._training.steps(trained))
