"""Number of groups that are large enough to be the worst one."""

from __future__ import annotations

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions
from discl.core.interfaces import Ints, Metric


class GroupsScored(Metric):
    """Groups of fewer than `min_group_size` photos are left out."""

    version = 1
    title = "groups"
    always = True
    by_group = True
    labels_only = True
    unit = "count"
    position = 13

    def __init__(self, min_group_size: int = 20) -> None:
        """`min_group_size`: groups of fewer photos are left out."""
        self.min_group_size = min_group_size

    @property
    def definition(self) -> str:
        """With the size a group needs."""
        return f"number of groups of at least {self.min_group_size} photos; over ood/*, the mean"

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Number [] of large groups among [g, c]."""
        return np.asarray(float(len(photos.of_at_least(self.min_group_size).actual)))
