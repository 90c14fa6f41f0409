"""Accuracy on many-, medium- or few-shot classes (Liu et al. 2019): those with so many real
training photos.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from discl.core.class_counts import ClassCounts, Fractions, mean_over
from discl.core.conventions import SHOTS
from discl.core.errors import unknown
from discl.core.interfaces import Ints, Metric


class ShotAccuracy(Metric):
    """Base of the three metrics; `shots` names the rule that says which classes are meant."""

    version = 1
    always = True
    shot: ClassVar[str]  # many, medium or few

    def __init__(self, shots: str = "kang") -> None:
        """`shots`: the rule that says which classes are many, medium and few."""
        if shots not in SHOTS:
            raise unknown("rule for many, medium and few", shots, SHOTS)
        self.rule = SHOTS[shots]

    @property
    def title(self) -> str:
        """The name of the group."""
        return self.shot

    @property
    def definition(self) -> str:
        """Which classes are averaged, and how."""
        how = (
            "accuracy pooled over the photos of classes with"
            if self.rule.pooled
            else "mean recall over classes with"
        )
        return f"{how} {self.rule.words()[self.shot]} real training photos"

    def compute(self, photos: ClassCounts, training_photos: Ints) -> Fractions:
        """Accuracy [...] on the classes [..., c] of the group, by `training_photos` [c]."""
        members = self.rule.members(training_photos)[self.shot] & photos.present
        if not self.rule.pooled:
            return mean_over(photos.recall, members)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: not measured
            correct = (photos.correct * members).sum(-1)
            return np.asarray(correct / (photos.actual * members).sum(-1))
