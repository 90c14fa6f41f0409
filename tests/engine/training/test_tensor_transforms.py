"""Transforms on tensors draw what timm draws, and differ by a few of 255."""

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.engine.training.transforms import transform_of
from tests.engine.training.test_loop import CONFIG

IWILDCAM = {"scale": [0.9, 1.0], "hflip": 0.0, "color_jitter": 0.0, "interpolation": "bicubic"}
IMAGENET = {"scale": [0.08, 1.0], "color_jitter": 0.4, "interpolation": "bilinear"}


def _photo(seed: int) -> Photos:
    small = np.random.default_rng(seed).integers(0, 256, (9, 15, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((90, 54), Image.Resampling.BICUBIC))


def _pictures(transform: dict[str, Any], by: str) -> torch.Tensor:
    made = transform_of(replace(CONFIG, crop=32, transform=transform, transform_with=by), 32)
    pictures = []
    for seed in range(20):
        random.seed(seed)
        torch.manual_seed(seed)
        pictures.append(made(_photo(seed)))
    return torch.stack(pictures).int()


@pytest.mark.parametrize(
    ("transform", "most", "mean"),
    [
        (IWILDCAM, 2, 0.01),
        ({**IMAGENET, "color_jitter": 0.0}, 1, 0.02),
        ({**IMAGENET, "color_jitter": 0.0, "vflip": 0.5, "interpolation": "random"}, 2, 0.02),
        (IMAGENET, 8, 2.0),  # Pillow cuts off three times what is behind the point
    ],
)
def test_the_same_crops_mirrors_and_colours_come_out(
    transform: dict[str, Any], most: int, mean: float
) -> None:
    pillow, tensors = (_pictures(transform, by) for by in ("pillow", "torch"))
    assert tensors.shape == (20, 32, 32, 3)
    apart = (pillow - tensors).abs()
    assert int(apart.max()) <= most
    assert float(apart.float().mean()) <= mean
    assert float((pillow - pillow.roll(1, 0)).abs().float().mean()) > 20  # others are far off


@pytest.mark.parametrize(
    "transform",
    [{"auto_augment": "rand-m5"}, {"interpolation": "lanczos"}, {"train_crop_mode": "rkrc"}],
)
def test_what_is_not_computed_on_tensors_is_refused(transform: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"and not .*set train.transform_with = 'pillow'"):
        _pictures(transform, "torch")
