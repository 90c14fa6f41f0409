"""Lowest recall among the classes present in the split."""

from __future__ import annotations

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.interfaces import Ints, Metric


class WorstClassAcc(Metric):
    version = 1
    title = "worst class"
    definition = "lowest recall among classes present in the split"
    always = True
    position = 4

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Minimum over the classes [..., c] that the split holds [...]."""
        return np.asarray(np.where(photos.present, photos.recall, np.inf).min(-1))
