"""The probe of an adaptive strategy: images measured before and after a burst of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from discl.core.interfaces import Floats, Ints, Strategy
from discl.core.levels import PHOTO
from discl.engine.evaluation.predict import Preprocess, logits_of
from discl.engine.level_images import LevelImages
from discl.engine.softmax import softmax_at
from discl.engine.training.data import TrainingData
from discl.engine.training.sampler import Plan, SamplerView

_SEED = 0x9E0BE  # beside the run's seed: the probe's photos are drawn from a stream of their own


@dataclass(frozen=True)
class ProbeImages:
    """Photos kept out of training, and one synthetic image of each per level."""

    rows: Ints  # [n], training rows of the photos
    burst: float  # share of an epoch's steps spent on real photos between the two measurements
    # level -> uint8 [n, h, w, 3], or float features [n, d]; without the levels left out
    pixels: dict[int, Any]
    labels: dict[int, Ints | Floats]  # level -> [n], or [n, c] where images have soft labels

    def true_class_probabilities(
        self,
        network: nn.Module,
        preprocess: Preprocess,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> dict[int, NDArray[np.float64]]:
        """Level -> probability of the true class of each probe image [n], in [0, 1].

        Of a soft label it is that of both classes by their shares. In eval mode: measuring must not
        move BatchNorm.
        """
        return {
            level: softmax_at(
                logits_of(network, self.pixels[level], preprocess, device, dtype),
                self.labels[level],
            )
            for level in sorted(self.pixels)
        }


def probe_images(strategy: Strategy, training_data: TrainingData, seed: int) -> ProbeImages | None:
    """The images that `strategy` wants measured; None where it has no probe.

    Every level is measured on the same photos: those that have an image at each. Where no photo
    has, levels are left out until one has, the level of fewest photos first; of equals the lowest.
    A level that is left out has no gain. The photos themselves are never left out.
    """
    if strategy.probe is None:
        return None
    view = training_data.sampler_view
    levels = strategy.uses(training_data.levels)
    synthetic = [level for level in levels if level != PHOTO]
    images = {level: training_data.images[level] for level in synthetic}
    measured, complete = photos_with_all(view, images)
    rng = np.random.default_rng([seed, _SEED])
    rows = probe_rows(view, strategy.probe.holdout, rng, complete)
    plans = {
        level: _first_images(rows, level, training_data)
        for level in (level for level in levels if level == PHOTO or level in measured)
        if len(rows)
    }
    pixels = {level: _pixels_of(plan, level, training_data) for level, plan in plans.items()}
    labels = {level: training_data.labels(plan) for level, plan in plans.items()}
    return ProbeImages(rows, strategy.probe.burst, pixels, labels)


def photos_with_all(
    view: SamplerView, images: Mapping[int, LevelImages]
) -> tuple[tuple[int, ...], NDArray[np.bool_]]:
    """The levels that can be measured, and which training photos [n] have an image at all of them.

    Only hard photos that may be set aside are asked: those of classes with two or more.
    """
    hard = np.bincount(view.labels[view.hard], minlength=int(view.labels.max(initial=0)) + 1)
    candidates = view.hard & (hard[view.labels] > 1)
    has_image = {level: np.zeros(len(view.labels), bool) for level in images}
    for level, level_images in images.items():
        has_image[level][level_images.row] = True
        has_image[level] &= candidates
    levels = sorted(images)
    while levels:
        complete = np.logical_and.reduce([has_image[level] for level in levels])
        if complete.any():
            return tuple(levels), complete
        levels.remove(min(levels, key=lambda level: (has_image[level].sum(), level)))
    return (), candidates


def probe_rows(
    view: SamplerView,
    share: float,
    rng: np.random.Generator,
    complete: NDArray[np.bool_] | None = None,
) -> Ints:
    """Rows [n] set aside for a probe: `share` of each hard class's photos.

    At least one where a class has two or more, none where it has one. Only photos marked in
    `complete` [n] are taken, so a class that has too few of them gives fewer.
    """
    chosen = []
    for label in view.hard_labels:
        rows = np.flatnonzero((view.labels == label) & view.hard)
        count = max(1, round(share * len(rows))) if len(rows) > 1 else 0
        drawn = rng.permutation(rows)
        if complete is not None:
            drawn = drawn[complete[drawn]]
        chosen.append(drawn[:count])
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, np.int64)


def _first_images(rows: Ints, level: int, training_data: TrainingData) -> Plan:
    """The first image at `level` of each photo of `rows` [n], in their order."""
    position = np.full(len(rows), -1)
    if level != PHOTO:
        images = training_data.images[level]
        first = [int(np.flatnonzero(images.row == row)[0]) for row in rows]
        position = images.position[first]
    return Plan(rows, np.full(len(rows), level), position)


def _pixels_of(plan: Plan, level: int, training_data: TrainingData) -> Any:
    """Pixels of a plan's images, all of one level."""
    if level == PHOTO:
        return np.asarray(training_data.train.pixels[plan.row])
    return np.asarray(training_data.pixels[level][plan.position])
