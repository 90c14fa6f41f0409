"""From a plan to batches: photos and the levels' images, augmented, in the plan's order whatever
reads them.
"""

from __future__ import annotations

import queue
import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.core.hashing import seed_of
from discl.core.levels import PHOTO
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.distributed import Share
from discl.engine.training.sampler import Plan

AHEAD = 3  # batches made ready while one is trained on


class Batch(NamedTuple):
    """One optimiser step's images."""

    images: Tensor  # uint8 [b, h, w, 3], or float features [b, d]
    labels: Tensor  # [b]


def batches(
    plan: Plan,
    skip: int,
    training_data: TrainingData,
    config: TrainConfig,
    key: tuple[int, ...],
    share: Share,
    ahead: bool,
) -> Iterator[Batch]:
    """The batches of a plan after the first `skip`.

    `key` decides all chance; `ahead` makes them ready in the background.
    """
    if config.transform:
        return _transformed(plan, skip, training_data, config, key, share)
    made = _augmented(plan, skip, training_data, config, key, share)
    return prefetched(made) if ahead else made


def gather(plan: Plan, training_data: TrainingData) -> Tensor:
    """Pixels uint8 [b, h, w, 3] of a plan's rows: photos and the levels' images, each an index into
    an array.
    """
    batch = np.array(training_data.train.pixels[plan.row])
    for level in np.unique(plan.level):
        if level != PHOTO:
            mine = plan.level == level
            batch[mine] = training_data.pixels[int(level)][plan.place[mine]]
    return torch.from_numpy(batch)


def cut(plan: Plan, rows: slice) -> Plan:
    """A part of a plan."""
    return Plan(*(column[rows] for column in plan))


def _augmented(
    plan: Plan,
    skip: int,
    training_data: TrainingData,
    config: TrainConfig,
    key: tuple[int, ...],
    share: Share,
) -> Iterator[Batch]:
    """Whole batches at once, by indexing: the way of small photos, which would drown in calls an
    image.
    """
    chance = torch.Generator().manual_seed(int(np.random.default_rng(list(key)).integers(2**62)))
    mine = share.of(config.batch)
    for step in range(len(plan) // config.batch):
        part = cut(plan, slice(step * config.batch, (step + 1) * config.batch))
        moves = _moves(
            len(part), config, chance
        )  # drawn for skipped batches as well: chance goes on where it would have been
        if step >= skip:
            part = cut(part, mine)
            (shift, mirrored) = (None if move is None else move[..., mine] for move in moves)
            yield Batch(
                _moved(gather(part, training_data), shift, mirrored),
                torch.from_numpy(training_data.train.labels[part.row]),
            )


def _moves(
    count: int, config: TrainConfig, chance: torch.Generator
) -> tuple[Tensor | None, Tensor | None]:
    """Random translations [2, b] and mirrorings [b]; None where the recipe has none."""
    shift = (
        torch.randint(-config.shift, config.shift + 1, (2, count, 1, 1), generator=chance).view(
            2, count
        )
        if config.shift
        else None
    )
    mirrored = (
        torch.rand(count, 1, 1, generator=chance).view(count) < 0.5 if config.mirror else None
    )
    return shift, mirrored


def _moved(photos: Tensor, shift: Tensor | None, mirrored: Tensor | None) -> Tensor:
    """Translated (reflected at the edge) and mirrored, a photo at a time; uint8 [b, h, w, 3] in and
    out.
    """
    if shift is None and mirrored is None:
        return photos
    count, h, w, channels = photos.shape
    down, across = torch.arange(h)[None, :, None], torch.arange(w)[None, None, :]
    if shift is not None:
        down, across = (
            _reflected(down + shift[0, :, None, None], h),
            _reflected(across + shift[1, :, None, None], w),
        )
    if mirrored is not None:
        across = torch.where(mirrored[:, None, None], w - 1 - across, across)
    place = (
        torch.arange(count)[:, None, None] * h + down
    ) * w + across  # one index a pixel: a third of the time of three
    return photos.reshape(-1, channels).index_select(0, place.reshape(-1)).view(photos.shape)


def _reflected(place: Tensor, size: int) -> Tensor:
    place = place.abs()
    return torch.where(place >= size, 2 * (size - 1) - place, place)


# ---------------------------------------------------------------- timm's transforms, an image at a time


class _Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """A plan's images, transformed.

    The seed of an image is its place in the plan: whichever process draws it draws the same.
    """

    def __init__(
        self, plan: Plan, training_data: TrainingData, config: TrainConfig, key: tuple[int, ...]
    ) -> None:
        self.plan, self.training_data, self.key = plan, training_data, key
        self.transform = transform_of(config, training_data.train.pixels.shape[1])

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        from PIL import Image

        row, level, at = (int(column[place]) for column in self.plan)
        photo = (
            self.training_data.train.pixels[row]
            if level == PHOTO
            else self.training_data.pixels[level][at]
        )
        with _chance_of(seed_of("transform", *self.key, place)):
            return self.transform(Image.fromarray(np.asarray(photo))).permute(1, 2, 0), int(
                self.training_data.train.labels[row]
            )


def transform_of(config: TrainConfig, side: int) -> Any:
    """timm's training transform: an image in, uint8 [3, crop, crop] out."""
    from timm.data import create_transform

    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.transform.items()
    }
    try:
        return create_transform(
            input_size=config.crop or side, is_training=True, use_prefetcher=True, **options
        )
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        raise UserError(
            f"train.transform = {dict(config.transform)}: timm.data.create_transform does not take"
            f" it ({error})"
        ) from error


class _chance_of:  # noqa: N801 - reads as a phrase
    """Inside, every global source of chance that timm's transforms draw from starts at a seed;
    outside, it goes on undisturbed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __enter__(self) -> None:
        self.before = (
            random.getstate(),
            np.random.get_state(),
            torch.get_rng_state(),
        )  # noqa: NPY002 - timm draws from it
        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)  # noqa: NPY002
        torch.default_generator.manual_seed(self.seed % 2**62)

    def __exit__(self, *error: object) -> None:
        random.setstate(self.before[0])
        np.random.set_state(self.before[1])  # noqa: NPY002
        torch.set_rng_state(self.before[2])


def _transformed(
    plan: Plan,
    skip: int,
    training_data: TrainingData,
    config: TrainConfig,
    key: tuple[int, ...],
    share: Share,
) -> Iterator[Batch]:
    mine = share.of(config.batch)
    whole = np.arange(len(plan) // config.batch * config.batch).reshape(-1, config.batch)
    wanted = [rows[mine].tolist() for rows in whole[skip:]]
    loader = torch.utils.data.DataLoader(
        _Pictures(plan, training_data, config, key),
        batch_sampler=wanted,
        num_workers=config.workers,
        prefetch_factor=AHEAD if config.workers else None,
        pin_memory=torch.cuda.is_available(),
        # else the loader would draw from the chance that networks and losses draw from
        generator=torch.Generator(),
    )
    for images, labels in loader:
        yield Batch(images, labels)


# ---------------------------------------------------------------- making ready


def prefetched(made: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, made by a thread while the caller works; memory is pinned, so that a copy
    to the GPU does not wait.
    """
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                ready.put(item, timeout=0.1)
                return

    def work() -> None:
        try:
            for batch in made:
                put(
                    Batch(
                        *(
                            tensor.pin_memory() if torch.cuda.is_available() else tensor
                            for tensor in batch
                        )
                    )
                )
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # is raised again where the batches are wanted
            put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
