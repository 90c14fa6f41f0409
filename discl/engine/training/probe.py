"""The probe of an adaptive strategy: images measured before and after a burst of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from discl.core.interfaces import Ints, Strategy
from discl.core.levels import PHOTO
from discl.engine.evaluation.predict import Preprocess, logits_of
from discl.engine.softmax import softmax_at
from discl.engine.training.data import TrainingData
from discl.engine.training.sampler import probe_rows

_SEED = 0x9E0BE  # beside the run's seed: the probe's photos are drawn from a stream of their own


@dataclass(frozen=True)
class ProbeImages:
    """Photos kept out of training, and one synthetic image of each per level."""

    rows: Ints  # [n], training rows of the photos
    burst: float  # share of an epoch's steps spent on real photos between the two measurements
    pixels: dict[int, Any]  # level -> uint8 [m, h, w, 3], or float features [m, d]
    labels: dict[int, Ints]  # level -> [m]

    def true_class_probabilities(
        self, network: nn.Module, preprocess: Preprocess, device: torch.device
    ) -> dict[int, NDArray[np.float64]]:
        """Level -> probability of the true class of each probe image [m], in [0, 1].

        In eval mode: measuring must not move BatchNorm.
        """
        return {
            level: softmax_at(
                logits_of(network, self.pixels[level], preprocess, device), self.labels[level]
            )
            for level in sorted(self.pixels)
        }


def probe_images(strategy: Strategy, training_data: TrainingData, seed: int) -> ProbeImages | None:
    """The images that `strategy` wants measured; None where it has no probe.

    Levels without an image of a probe photo are left out.
    """
    if strategy.probe is None:
        return None
    rng = np.random.default_rng([seed, _SEED])
    rows = probe_rows(training_data.sampler_view, strategy.probe.holdout, rng)
    pixels: dict[int, Any] = {}
    labels: dict[int, Ints] = {}
    for level in strategy.uses(training_data.levels):
        level_rows, level_pixels = _images_of(rows, level, training_data)
        if len(level_rows):
            pixels[level] = level_pixels
            labels[level] = training_data.train.labels[level_rows]
    return ProbeImages(rows, strategy.probe.burst, pixels, labels)


def _images_of(rows: Ints, level: int, training_data: TrainingData) -> tuple[Ints, Any]:
    """Training rows [m] and pixels of the first image at `level` of each photo that has one."""
    if level == PHOTO:
        return rows, np.asarray(training_data.train.pixels[rows])
    images = training_data.images[level]
    first = [np.flatnonzero(images.row == row)[:1] for row in rows]
    chosen = np.concatenate(first) if first else np.empty(0, np.int64)
    return images.row[chosen], np.asarray(training_data.pixels[level][images.position[chosen]])
