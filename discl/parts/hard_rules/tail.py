"""Photos of classes with few training photos: the rule of DisCL for long-tailed data."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import FoldPredictions, TrainingPhotos


class TailClasses:
    """A photo is hard if its class has fewer than `max_class_images` training photos.

    Raises UserError where `max_class_images` is below 1.
    """

    version = 1
    models = None

    def __init__(self, max_class_images: int = 20, exclude: Sequence[str] = ()) -> None:
        """Settings:

        `max_class_images`: a class with fewer training photos is hard.
        `exclude`: names of classes of which no photo is hard.
        """
        if max_class_images < 1:
            raise UserError(
                f"hard_rule.max_class_images = {max_class_images}: takes a whole number from 1 up"
            )
        self.max_class_images = max_class_images
        self.exclude = exclude

    def expected(self, photos: TrainingPhotos) -> int:
        return int(self.select(photos, None).sum())

    def wider(self, photos: TrainingPhotos) -> tuple[str, TailClasses] | None:
        """The next limit of 1, 2, 5, 10, ... that selects more photos, in words and as a rule."""
        selected = self.expected(photos)
        if selected == int(photos.allowed.sum()):
            return None
        for limit in (step * 10**power for power in itertools.count() for step in (1, 2, 5)):
            if limit > self.max_class_images:
                rule = TailClasses(limit, self.exclude)
                if rule.expected(photos) > selected:
                    return f"max_class_images {self.max_class_images} -> {limit}", rule
        return None

    def select(
        self, photos: TrainingPhotos, predictions: FoldPredictions | None
    ) -> NDArray[np.bool_]:
        """[n], whether each photo is hard."""
        return (photos.counts[photos.labels] < self.max_class_images) & photos.allowed
