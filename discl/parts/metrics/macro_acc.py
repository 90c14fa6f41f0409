"""Mean recall over the classes present in the split: the headline of most benchmarks."""

from __future__ import annotations

from discl.core.class_counts import ClassCounts, Fractions, mean_over
from discl.core.interfaces import Ints, Metric


class MacroAcc(Metric):
    version = 1
    title = "macro accuracy"
    definition = "mean recall over classes present in the split"
    always = True
    overall = True
    position = 2

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Mean over the classes [..., c] that the split holds [...]."""
        return mean_over(photos.recall, photos.present)
