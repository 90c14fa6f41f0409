"""Every n-th photo of each class is hard: a control that looks at no photo."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import FoldPredictions, TrainingPhotos


class EveryNth:
    """Every n-th photo of each class is hard."""

    version = 1
    models = None

    def __init__(self, n: int = 4, exclude: Sequence[str] = ()) -> None:
        if n < 1:
            raise UserError(f"hard_rule.n = {n}: takes a whole number from 1 up")
        self.n = n
        self.exclude = exclude

    def expected(self, photos: TrainingPhotos) -> int:
        return int(self.select(photos, None).sum())

    def select(
        self, photos: TrainingPhotos, predictions: FoldPredictions | None
    ) -> NDArray[np.bool_]:
        """[n], whether each photo is hard."""
        hard = np.zeros(len(photos.labels), bool)
        for label in range(len(photos.classes)):
            rows = np.flatnonzero(photos.labels == label)
            hard[rows[:: self.n]] = True
        return hard & photos.allowed
