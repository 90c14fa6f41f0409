"""timm's training transforms, an image at a time, with randomness that no worker changes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
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
from discl.engine.training.sampler import Plan

Transform = Callable[[Photos], Tensor]  # of a photo [h, w, 3] to a picture uint8 [side, side, 3]
Key = tuple[int, ...]  # seeds all randomness of a plan


class TrainingPictures(torch.utils.data.Dataset[tuple[Tensor, Any]]):
    """Photos and images, transformed: uint8 [h, w, 3] and label, [] or [c] where it is soft.

    An image is asked for by (key of its plan, position in it, row, level, index). Its seed are key
    and position: whichever process draws it draws the same.
    """

    def __init__(self, training_data: TrainingData, config: TrainConfig, alone: bool) -> None:
        """`alone`: it is read in processes of its own, whose generators nothing else draws from."""
        self.training_data = training_data
        self.alone = alone
        self.whole = config.whole_photos
        self.transform = transform_of(config, training_data.train.pixels.shape[1])

    def __getitem__(self, item: tuple[Key, int, int, int, int]) -> tuple[Tensor, Any]:
        key, position, row, level, index = item
        photo = self._photo(row) if level == PHOTO else self._image(level, index)
        with nullcontext() if self.alone else _undisturbed():
            _seed(seed_of("transform", *key, position))
            picture = self.transform(np.asarray(photo))
        return picture, self._label(row, level, index)

    def _label(self, row: int, level: int, index: int) -> Any:
        if self.training_data.soft_labels is None:
            return int(self.training_data.train.labels[row])
        one = Plan(*(np.array([value]) for value in (row, level, index)))
        return self.training_data.labels(one)[0]

    def _photo(self, row: int) -> Photos:
        train = self.training_data.train
        return train.whole(row) if self.whole and train.whole else train.pixels[row]

    def _image(self, level: int, index: int) -> Photos:
        whole = self.training_data.whole.get(level) if self.whole else None
        return whole(index) if whole else self.training_data.pixels[level][index]


def transform_of(config: TrainConfig, side: int) -> Transform:
    """timm's training transform, from a photo [h, w, 3] to a picture of `crop` or `side` pixels.

    `transform_with` says what computes it. Raises UserError where timm does not take the options of
    `train.transform`.
    """
    options = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.transform.items()
    }
    steps = _steps(config, side, options)
    # a jitter of nothing draws, last of all, from generators that are seeded for the next image
    if steps and _changes_no_colour(steps[-1]):
        steps = steps[:-1]
    if config.transform_with == "torch":
        from discl.engine.training.tensor_transforms import on_tensors

        return on_tensors(steps)
    return partial(_by_pillow, steps)


def _changes_no_colour(step: Any) -> bool:
    from torchvision.transforms import ColorJitter  # type: ignore[import-untyped]

    changes = ("brightness", "contrast", "saturation", "hue")
    return type(step) is ColorJitter and all(getattr(step, name) is None for name in changes)


def _by_pillow(steps: Sequence[Any], photo: Photos) -> Tensor:
    from PIL import Image

    picture: Any = Image.fromarray(photo)
    for step in steps:
        picture = step(picture)
    return torch.from_numpy(np.array(picture))


def _steps(config: TrainConfig, side: int, options: Mapping[str, Any]) -> list[Any]:
    """timm's transforms one after another, from a PIL image to a PIL image."""
    from timm.data import create_transform

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
    return [*geometry.transforms, *colour.transforms]


def _refused(config: TrainConfig, why: object) -> UserError:
    return UserError(
        f"train.transform = {dict(config.transform)}: timm.data.create_transform does not take it"
        f" ({why})"
    )


def _seed(seed: int) -> None:
    """Every global generator that timm's transforms draw from starts at a seed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed % 2**62)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Outside, the global generators go on as if nothing had been drawn inside."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - timm draws from it
    torch_state = torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.set_rng_state(torch_state)
