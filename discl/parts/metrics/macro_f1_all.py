"""Mean F1 over all classes of the dataset, also those that a split does not hold."""

from __future__ import annotations

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.interfaces import Ints, Metric


class MacroF1All(Metric):
    version = 1
    title = "macro-F1 over all classes of the dataset"
    definition = (
        "mean F1 over all classes of the dataset; one that is neither in the truth nor predicted"
        " counts 0"
    )
    overall = True
    position = 9

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Mean over all classes [..., c] [...]."""
        return np.asarray(photos.f1.mean(-1))
