"""Soft labels of images that were edited towards another class than their photo's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from discl.core.interfaces import Floats, Ints
from discl.core.levels import PHOTO


@dataclass(frozen=True)
class SoftLabels:
    """What share of an image's label is the class it was edited towards.

    That is s ** power of an edit of strength s = 1 - level / 100, and the rest is the class of the
    photo (Diff-Mix: Wang et al. 2024, where the power is called gamma). A photo has but its own.
    """

    targets: Mapping[int, Ints]  # level -> class asked for of its images, in their order
    power: float

    def share(self, level: int) -> float:
        """The share of the class asked for at a level: 1 for text alone, 0 for the photo."""
        return float((1 - level / PHOTO) ** self.power)

    def of(self, labels: Ints, level: Ints, position: Ints, classes: int) -> Floats:
        """Labels float32 [b, classes], each row summing to 1; their photos have `labels` [b].

        `level` and `position` [b] are as of a plan: which image of which level; 100 is the photo.
        """
        rows = np.arange(len(labels))
        soft = np.zeros((len(labels), classes), np.float64)
        soft[rows, labels] = 1
        for each in np.unique(level).tolist():
            at = rows[level == each]
            if each != PHOTO:
                soft[at] *= 1 - self.share(each)
                soft[at, self.targets[each][position[at]]] += self.share(each)
        return soft.astype(np.float32)
