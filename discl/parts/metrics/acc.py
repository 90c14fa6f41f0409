"""Pooled top-1 accuracy."""

from __future__ import annotations

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.interfaces import Ints, Metric


class Acc(Metric):
    version = 1
    title = "accuracy"
    definition = "pooled top-1 accuracy"
    always = True
    overall = True
    position = 1

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Share of the photos that is predicted correctly [...]."""
        return photos.accuracy
