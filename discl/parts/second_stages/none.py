"""No second stage: the classifier stays as it was trained."""

from __future__ import annotations

from discl.core.interfaces import SecondStageOutcome, TrainedFeatures


class NoSecondStage:
    """It needs no features, so none are computed."""

    version = 1
    corrects_prior = False
    idle = True

    def apply(self, trained: TrainedFeatures) -> SecondStageOutcome:
        """The classifier, unchanged."""
        return SecondStageOutcome(trained.classifier)
