"""Geometric mean of the recalls (Kubat and Matwin 1997): 0 where one class is never found."""

from __future__ import annotations

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.interfaces import Ints, Metric


class GMean(Metric):
    """Geometric mean of the recalls; a recall below `floor` counts as `floor`."""

    version = 1
    title = "G-mean"
    overall = True

    def __init__(self, floor: float = 0.0) -> None:
        self.floor = floor

    @property
    def definition(self) -> str:
        """With the floor."""
        return f"geometric mean of recall over classes present in the split, each >= {self.floor:g}"

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Over the classes [..., c] that the split holds [...]."""
        recall = np.where(photos.present, np.maximum(photos.recall, self.floor), 1.0)
        return recall.prod(-1) ** (1 / photos.present.sum(-1))
