"""Mean F1 over the classes that occur or are predicted: scikit-learn's default."""

from __future__ import annotations

from discl.core.class_counts import ClassCounts, Fractions, mean_over
from discl.core.interfaces import Ints, Metric


class MacroF1Union(Metric):
    version = 1
    title = "macro-F1 over classes there or predicted"
    definition = (
        "mean F1 over classes in the truth or among the predictions of the split (scikit-learn's"
        " default)"
    )
    overall = True
    position = 8

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Mean over the classes [..., c] with a photo or a prediction [...]."""
        return mean_over(photos.f1, photos.actual + photos.predicted > 0)
