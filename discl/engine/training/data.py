"""The photos and images a run learns from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from discl.core.conventions import SHOTS
from discl.core.interfaces import Floats, Ints, Photos, Split
from discl.engine.evaluation.confusion import has_several_groups
from discl.engine.evaluation.metrics import (
    Metrics,
    for_split,
    of_predictions,
    split_metrics,
)
from discl.engine.level_images import LevelImages
from discl.engine.soft_labels import SoftLabels
from discl.engine.training.sampler import Plan, SamplerView


@dataclass(frozen=True)
class TrainingData:
    """The training split, its hard rows, and the synthetic images of each level.

    `pixels` of splits and levels are float features [n, d] where the trunk is frozen.
    """

    train: Split
    sampler_view: SamplerView
    classes: int
    levels: tuple[int, ...]
    images: Mapping[int, LevelImages]  # by level
    pixels: Mapping[int, Photos]  # level -> [m, h, w, 3], or float features [m, d]
    val: Split
    metrics: Metrics  # what is measured on val
    # [c], training photos as published, where our val is a part of them; None = as they are here
    published_counts: Ints | None = None
    # level -> its images with their aspect kept, by position; none = `pixels` has them whole
    whole: Mapping[int, Callable[[int], Photos]] = field(default_factory=dict)
    shots: str = "kang"  # which classes are many, medium and few, see `discl.core.conventions`
    soft_labels: SoftLabels | None = None  # of the images; None = they have their photos' labels

    @cached_property
    def counts(self) -> Ints:
        """[c], real training photos by label."""
        return np.bincount(self.train.labels, minlength=self.classes)

    @property
    def group_counts(self) -> Ints:
        """[c], the photos by which a class is many, medium or few."""
        return self.counts if self.published_counts is None else self.published_counts

    def labels(self, plan: Plan) -> Ints | Floats:
        """Labels int64 [b] of a plan's images; float32 [b, c] where images have soft labels."""
        labels = self.train.labels[plan.row]
        if self.soft_labels is None:
            return labels
        return self.soft_labels.of(labels, plan.level, plan.position, self.classes)

    def drawn_by_group(self, rows: Ints) -> dict[str, int]:
        """Group (many, medium, few) -> how many of the training rows [n] are of its classes.

        A row is a photo, or the photo that an image was made from.
        """
        drawn = np.bincount(self.train.labels[rows], minlength=self.classes)
        members = SHOTS[self.shots].members(self.group_counts)
        return {group: int(drawn[is_member].sum()) for group, is_member in members.items()}

    @cached_property
    def _val_metrics(self) -> Metrics:
        return for_val(self.metrics)

    def val_metrics(self, guess: Ints) -> dict[str, float]:
        """`val/<metric>` of predicted labels [n]."""
        return metrics_on_val(self.val, guess, self.group_counts, self._val_metrics)


def for_val(metrics: Metrics) -> Metrics:
    """Those metrics that are measured on val after each epoch."""
    return of_predictions(for_split(metrics, "val"))


def metrics_on_val(
    val: Split, guess: Ints, group_counts: Ints, metrics: Metrics
) -> dict[str, float]:
    """`val/<metric>` of predicted labels [n]; `group_counts` [c] as of `TrainingData`."""
    groups = val.groups if has_several_groups(val.groups) else None
    measured = split_metrics(val.labels, guess, group_counts, metrics, groups)
    return {f"val/{key}": value for key, value in measured.items()}
