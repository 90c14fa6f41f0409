"""The photos and images a run learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from discl.config.benchmark import MetricsTable
from discl.core.interfaces import Ints, Photos, Split
from discl.engine.evaluation.metrics import DEFAULT, split_metrics
from discl.engine.training.sampler import SamplerView, Usable


@dataclass(frozen=True)
class TrainingData:
    """What a run learns from: the training split, its hard rows, and the usable synthetic images of
    each level.

    `pixels` of the splits and levels may as well be float features [n, d], where the trunk is
    frozen.
    """

    train: Split
    tail: SamplerView
    classes: int
    levels: tuple[int, ...]
    usable: Mapping[int, Usable]
    pixels: Mapping[int, Photos]  # level -> [m, h, w, 3]
    val: Split
    conventions: MetricsTable = DEFAULT

    @cached_property
    def counts(self) -> Ints:
        """Real training photos by label."""
        return np.bincount(self.train.labels, minlength=self.classes)

    def val_metrics(self, guess: Ints) -> dict[str, float]:
        """`val/<metric>` of predicted labels."""
        groups = self.val.groups if len(np.unique(self.val.groups)) > 1 else None
        measured = split_metrics(self.val.labels, guess, self.counts, groups, self.conventions)
        return {f"val/{key}": value for key, value in measured.items()}
