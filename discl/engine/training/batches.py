"""From a plan to batches of photos and the levels' images, augmented, in the plan's order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from discl.core.levels import PHOTO
from discl.engine.prefetch import prefetched
from discl.engine.training.augmentation import augmented, parameters
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.distributed import Share
from discl.engine.training.reading import Reader
from discl.engine.training.sampler import Plan


class Batch(NamedTuple):
    """The images of one optimiser step."""

    images: Tensor  # uint8 [b, h, w, 3], or float features [b, d]
    labels: Tensor  # [b], or float [b, c] where images have soft labels


def batches(
    plan: Plan,
    skip: int,
    training_data: TrainingData,
    config: TrainConfig,
    key: tuple[int, ...],
    share: Share,
    ahead: bool,
    reader: Reader | None = None,
) -> Iterator[Batch]:
    """The batches of a plan after the first `skip`, this process's `share` of each.

    `key` seeds all randomness; `ahead` makes the batches ready in the background, in memory that a
    GPU reads without waiting. Where there is a `transform`, `reader` reads, which goes on from plan
    to plan; without one the photos are read here.
    """
    if config.transform:
        reader = reader or Reader(training_data, config, 0)
        for images, labels in reader.read(plan, skip, key, share):
            yield Batch(images, labels)
        return
    made = _augmented(plan, skip, training_data, config, key, share)
    yield from prefetched(map(_pinned, made)) if ahead else made


def gather_pixels(plan: Plan, training_data: TrainingData) -> Tensor:
    """Pixels uint8 [b, h, w, 3] of a plan's images, or their features [b, d]."""
    photos = training_data.train.pixels
    levels = np.unique(plan.level).tolist()
    if levels == [PHOTO]:
        return torch.from_numpy(np.asarray(photos[plan.row]))
    pixels = np.empty((len(plan), *photos.shape[1:]), photos.dtype)
    for level in levels:
        at_level = plan.level == level
        if level == PHOTO:
            pixels[at_level] = photos[plan.row[at_level]]
        else:
            pixels[at_level] = training_data.pixels[level][plan.position[at_level]]
    return torch.from_numpy(pixels)


def _part(plan: Plan, rows: slice) -> Plan:
    return Plan(*(column[rows] for column in plan))


def _augmented(
    plan: Plan,
    skip: int,
    training_data: TrainingData,
    config: TrainConfig,
    key: tuple[int, ...],
    share: Share,
) -> Iterator[Batch]:
    """Batches read by indexing and moved as one tensor.

    For small photos, where a call for each image would take most of the time.
    """
    seed = int(np.random.default_rng(list(key)).integers(2**62))
    generator = torch.Generator().manual_seed(seed)
    own = share.of(config.batch)
    for step in range(len(plan) // config.batch):
        batch_plan = _part(plan, slice(step * config.batch, (step + 1) * config.batch))
        # drawn for skipped batches as well, so that the generator is where it would have been
        drawn = parameters(len(batch_plan), config, generator)
        if step < skip:
            continue
        own_plan = _part(batch_plan, own)
        images = augmented(gather_pixels(own_plan, training_data), drawn.of(own))
        yield Batch(images, torch.from_numpy(training_data.labels(own_plan)))


def _pinned(batch: Batch) -> Batch:
    """The batch in pinned memory, so that a copy to a GPU does not wait."""
    if not torch.cuda.is_available():
        return batch
    return Batch(batch.images.pin_memory(), batch.labels.pin_memory())
