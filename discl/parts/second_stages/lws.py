"""LWS (Kang et al. 2020): one factor for each class's logit is learnt on class-balanced batches."""

from __future__ import annotations

from discl.core.interfaces import SecondStageOutcome, TrainedFeatures
from discl.parts.second_stages.base.balanced import BalancedTraining


class LearnableWeightScaling:
    """Features and classifier stay; factors begin at 1 and are trained by cross-entropy.

    `epochs` are of as many photos as there are. A factor multiplies the class's whole logit, the
    bias with it.
    """

    version = 1
    corrects_prior = True
    heads = ("linear", "cosine")

    def __init__(self, epochs: int = 10, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        """Settings:

        `epochs`: epochs of as many photos as there are.
        `lr`: learning rate of the factors.
        `weight_decay`: weight decay of the factors.
        """
        self._training = BalancedTraining(epochs, lr, weight_decay)

    def apply(self, trained: TrainedFeatures) -> SecondStageOutcome:
        """The classifier with its logits multiplied by the factors."""
        from discl.parts.second_stages.base.layers import ScaledLogits

        trained.classifier.requires_grad_(False)
        scaled = ScaledLogits(trained.classifier, len(trained.counts))
        scaled.to(trained.features.device)
        self._training.run(scaled, trained)
        return SecondStageOutcome(scaled, self._training.epochs, self._training.steps(trained))
