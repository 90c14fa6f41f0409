"""Photos of a split counted by class: what metrics are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.text import counted

FEW_TEST_PHOTOS = 30  # of a group of classes, below which one photo moves it by 3 points and more

Mask = np.ndarray[Any, np.dtype[np.bool_]]
Fractions = np.ndarray[Any, np.dtype[np.float64]]


class ClassCounts(NamedTuple):
    """Photos by class, each [..., c]: all that recall and F1 need.

    A confusion matrix would grow with the square of the number of classes. Leading axes hold
    groups of photos, or samples drawn from the test photos.
    """

    correct: NDArray[np.int64]  # predicted as what they are
    actual: NDArray[np.int64]  # of this class
    predicted: NDArray[np.int64]  # predicted to be of this class

    @property
    def present(self) -> Mask:
        """Whether the split holds photos of a class [..., c]."""
        return np.asarray(self.actual > 0)

    @property
    def recall(self) -> Fractions:
        """Share of a class that is predicted correctly [..., c]; NaN for a class without photos."""
        return np.where(self.present, self.correct / np.maximum(self.actual, 1), np.nan)

    @property
    def f1(self) -> Fractions:
        """F1 of a class [..., c]; 0 for a class that is never predicted, or only by mistake."""
        return np.asarray(
            2 * self.correct / np.maximum(self.actual + self.predicted, 1), np.float64
        )

    @property
    def accuracy(self) -> Fractions:
        """Share of all photos that is predicted correctly [...]."""
        return np.asarray(self.correct.sum(-1) / self.actual.sum(-1))

    def of_at_least(self, photos: int) -> ClassCounts:
        """Those groups [g, c] that hold at least so many photos [k, c]."""
        large = self.actual.sum(-1) >= photos
        return ClassCounts(*(column[large] for column in self))


def mean_over(values: Fractions, among: Mask) -> Fractions:
    """Mean [...] of `values` [..., c] over the classes marked in `among`; NaN where none is."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(among, values, 0.0).sum(-1) / among.sum(-1))


def lowest(values: Fractions) -> Fractions:
    """Smallest [] of the values of groups [g]; NaN where there is no group."""
    return np.asarray(values.min() if len(values) else np.nan)


def small_of(groups: Mapping[str, tuple[int, int]]) -> tuple[str, ...]:
    """A sentence on groups of classes with few test photos; none where no group has few.

    `groups` is name -> (classes, test photos).
    """
    small = [name for name, (_, photos) in groups.items() if 0 < photos < FEW_TEST_PHOTOS]
    if not small:
        return ()
    told = [
        f"{name} is {counted(classes, 'class', 'classes')} with {counted(photos, 'test photo')}"
        + (f" (one photo moves it by about {100 / photos:.0f} points)" if name in small else "")
        for name, (classes, photos) in groups.items()
        if photos
    ]
    return (f"Small groups say little: {'; '.join(told)}.",)
