"""Lowest accuracy of a group, such as a camera (Sagawa et al. 2020)."""

from __future__ import annotations

from discl.core.class_counts import ClassCounts, Fractions, lowest
from discl.core.interfaces import Ints, Metric


class WorstGroupAcc(Metric):
    """Groups of fewer than `min_group_size` photos are left out."""

    version = 1
    title = "worst group"
    always = True
    by_group = True
    position = 10

    def __init__(self, min_group_size: int = 20) -> None:
        """`min_group_size`: groups of fewer photos are left out."""
        self.min_group_size = min_group_size

    @property
    def definition(self) -> str:
        """With the size a group needs."""
        return (
            f"lowest accuracy of a group of at least {self.min_group_size} photos; over ood/*, the"
            " mean of the splits' lowest"
        )

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Minimum [] over the large ones of the groups [g, c]; NaN where none is large."""
        return lowest(photos.of_at_least(self.min_group_size).accuracy)
