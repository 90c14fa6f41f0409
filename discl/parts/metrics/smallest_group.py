"""Photos of the smallest group that is large enough to be the worst one."""

from __future__ import annotations

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions, lowest
from discl.core.interfaces import Ints, Metric


class SmallestGroup(Metric):
    """Groups of fewer than `min_group_size` photos are left out."""

    version = 1
    title = "smallest group"
    always = True
    by_group = True
    labels_only = True
    unit = "count"
    position = 14

    def __init__(self, min_group_size: int = 20) -> None:
        """`min_group_size`: groups of fewer photos are left out."""
        self.min_group_size = min_group_size

    @property
    def definition(self) -> str:
        """With the size a group needs."""
        return (
            f"photos of the smallest group of at least {self.min_group_size}; over ood/*, the mean"
        )

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Photos [] of the smallest of the large groups among [g, c]; NaN where none is large."""
        return lowest(photos.of_at_least(self.min_group_size).actual.sum(-1).astype(np.float64))
