"""NCM (Kang et al. 2020): the class whose mean features have the largest cosine."""

from __future__ import annotations

from discl.core.interfaces import SecondStageOutcome, TrainedFeatures


class NearestClassMean:
    """Means over the real training photos of each class; nothing is trained.

    Its logits are cosines; a class without a photo has -1.
    """

    version = 1
    corrects_prior = True
    heads = ("linear", "cosine")

    def apply(self, trained: TrainedFeatures) -> SecondStageOutcome:
        """Cosines with the class means in the place of the classifier."""
        import torch

        from discl.parts.second_stages.base.layers import NearestMean

        features = trained.features
        sums = features.new_zeros(len(trained.counts), features.shape[1])
        sums.index_add_(0, trained.labels, features)
        photos = torch.bincount(trained.labels, minlength=len(sums))
        means = sums / photos.clamp(min=1)[:, None]
        return SecondStageOutcome(NearestMean(means, photos > 0))
