"""Lowest macro-F1 of a group, such as a camera."""

from __future__ import annotations

from discl.core.class_counts import ClassCounts, Fractions, lowest, mean_over
from discl.core.interfaces import Ints, Metric


class WorstGroupMacroF1(Metric):
    """Groups of fewer than `min_group_size` photos are left out."""

    version = 1
    title = "worst group"
    always = True
    by_group = True
    position = 11

    def __init__(self, min_group_size: int = 20) -> None:
        """`min_group_size`: groups of fewer photos are left out."""
        self.min_group_size = min_group_size

    @property
    def definition(self) -> str:
        """With the size a group needs."""
        return (
            f"lowest macro_f1 of a group of at least {self.min_group_size} photos; over ood/*, the"
            " mean of the splits' lowest"
        )

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Minimum [] over the large ones of the groups [g, c]; NaN where none is large."""
        large = photos.of_at_least(self.min_group_size)
        return lowest(mean_over(large.f1, large.present))
