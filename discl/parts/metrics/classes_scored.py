"""Number of classes that a split holds."""

from __future__ import annotations

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.interfaces import Ints, Metric


class ClassesScored(Metric):
    version = 1
    title = "classes"
    definition = "number of classes present in the split"
    labels_only = True
    unit = "count"
    position = 12

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Classes [..., c] with a photo, counted [...]."""
        return np.asarray(photos.present.sum(-1), np.float64)
