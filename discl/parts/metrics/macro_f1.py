"""Mean F1 over the classes present in the truth: the rule of WILDS (Koh et al. 2021)."""

from __future__ import annotations

from discl.core.class_counts import ClassCounts, Fractions, mean_over
from discl.core.interfaces import Ints, Metric


class MacroF1(Metric):
    version = 1
    title = "macro-F1"
    definition = "mean F1 over classes present in the truth of the split (WILDS)"
    always = True
    overall = True
    position = 3

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Mean over the classes [..., c] that the split holds [...]; never predicted counts 0."""
        return mean_over(photos.f1, photos.present)
