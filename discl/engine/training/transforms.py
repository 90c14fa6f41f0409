"""timm's training transforms, an image at a time, with randomness that no worker changes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.core.hashing import seed_of
from discl.core.interfaces import Photos
from discl.core.levels import PHOTO
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.distributed import Share
from discl.engine.training.sampler import Plan


def transformed(
    plan: Plan,
    skip: int,
    training_data: TrainingData,
    config: TrainConfig,
    key: tuple[int, ...],
    share: Share,
    ahead: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images uint8 [b, h, w, 3] and labels [b] of a plan's batches after the first `skip`.

    `key` seeds all randomness; each of `config.workers` processes keeps `ahead` batches ready.
    """
    own = share.of(config.batch)
    positions = np.arange(len(plan) // config.batch * config.batch).reshape(-1, config.batch)
    loader = torch.utils.data.DataLoader(
        _Pictures(plan, training_data, config, key),
        batch_sampler=[batch[own].tolist() for batch in positions[skip:]],
        num_workers=config.workers,
        prefetch_factor=ahead if config.workers else None,
        pin_memory=torch.cuda.is_available(),
        # else the loader would draw from the generator that networks and losses draw from
        generator=torch.Generator(),
    )
    yield from loader


class _Pictures(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """A plan's images, transformed: uint8 [h, w, 3] and label.

    The seed of an image is its position in the plan: whichever process draws it draws the same.
    """

    def __init__(
        self, plan: Plan, training_data: TrainingData, config: TrainConfig, key: tuple[int, ...]
    ) -> None:
        self.plan = plan
        self.training_data = training_data
        self.key = key
        self.whole = config.whole_photos
        self.transform = transform_of(config, training_data.train.pixels.shape[1])

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        from PIL import Image

        row, level, index = (int(column[position]) for column in self.plan)
        photo = self._photo(row) if level == PHOTO else self._image(level, index)
        with _seeded(seed_of("transform", *self.key, position)):
            picture = self.transform(Image.fromarray(np.asarray(photo)))
        return torch.from_numpy(np.array(picture)), int(self.training_data.train.labels[row])

    def _photo(self, row: int) -> Photos:
        train = self.training_data.train
        return train.whole(row) if self.whole and train.whole else train.pixels[row]

    def _image(self, level: int, index: int) -> Photos:
        whole = self.training_data.whole.get(level) if self.whole else None
        return whole(index) if whole else self.training_data.pixels[level][index]


def transform_of(config: TrainConfig, side: int) -> Any:
    """timm's training transform, from a PIL image to a PIL image of `crop` or else `side` pixels.

    Raises UserError where timm does not take the options of `train.transform`.
    """
    from timm.data import create_transform

    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.transform.items()
    }
    try:
        # in three stages: the last one would make tensors [3, h, w], and pixels are [h, w, 3] here
        geometry, colour, to_tensor = create_transform(
            input_size=config.crop or side,
            is_training=True,
            use_prefetcher=True,
            separate=True,
            **options,
        )
        if len(to_tensor.transforms) > 1:
            raise _refused(config, f"{to_tensor.transforms[1:]} is not for images")
    except (TypeError, ValueError, AssertionError, KeyError) as error:
        raise _refused(config, error) from error
    return type(geometry)([*geometry.transforms, *colour.transforms])  # torchvision's Compose


def _refused(config: TrainConfig, why: object) -> UserError:
    return UserError(
        f"train.transform = {dict(config.transform)}: timm.data.create_transform does not take it"
        f" ({why})"
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Inside, every global generator that timm's transforms draw from starts at a seed.

    Outside they go on undisturbed.
    """
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - timm draws from it
    torch_state = torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed % 2**62)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(torch_state)
