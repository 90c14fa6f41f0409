"""Layers that second stages put in the place of a classifier."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ScaledLogits(nn.Module):
    """A classifier's logits, each class's times a factor."""

    def __init__(self, classifier: nn.Module, classes: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.factors = nn.Parameter(torch.ones(classes))

    def forward(self, features: Tensor) -> Tensor:
        """Logits [b, c] of features [b, d]."""
        logits: Tensor = self.classifier(features)
        return self.factors * logits


class NearestMean(nn.Module):
    """Cosines with the mean features of each class."""

    means: Tensor
    seen: Tensor

    def __init__(self, means: Tensor, seen: Tensor) -> None:
        """`means` [c, d]; `seen` [c], False where a class has no photo and so no mean."""
        super().__init__()
        self.register_buffer("means", F.normalize(means, dim=1))
        self.register_buffer("seen", seen)

    def forward(self, features: Tensor) -> Tensor:
        """Logits [b, c] of features [b, d]: cosines, -1 for a class without a mean."""
        cosines = F.linear(F.normalize(features, dim=1), self.means)
        return cosines.masked_fill(~self.seen, -1.0)
