"""timm's crops, mirrors and colours on tensors: drawn as by timm, two to four times faster.

Pillow resizes a picture with 22 bits of a weight, torch with as many as fit 16. What is behind the
point of a colour is cut off at the end; Pillow cuts it off after each change.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.core.interfaces import Photos

GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R 601, as in Pillow
_MODES = ("bilinear", "bicubic")  # that torch has for bytes


def on_tensors(steps: Sequence[Any]) -> Callable[[Photos], Tensor]:
    """These transforms of timm, from a photo [h, w, 3] to a picture uint8 [side, side, 3].

    The first is a random crop. Raises UserError for one that is not computed here.
    """
    from timm.data.transforms import RandomResizedCropAndInterpolation
    from torchvision.transforms import (  # type: ignore[import-untyped]
        ColorJitter,
        RandomHorizontalFlip,
        RandomVerticalFlip,
    )

    known: dict[type, Callable[[Any, Tensor], Tensor]] = {
        RandomHorizontalFlip: partial(_mirrored, 2),
        RandomVerticalFlip: partial(_mirrored, 1),
        ColorJitter: _coloured,
    }
    first, *others = steps
    if type(first) is not RandomResizedCropAndInterpolation:
        raise _not_here(type(first).__name__)
    modes = _modes(first)
    for step in others:
        if type(step) not in known or getattr(step, "hue", None) is not None:
            raise _not_here(type(step).__name__)

    def transform(photo: Photos) -> Tensor:
        picture = _cropped(first, modes, photo)
        for step in others:
            picture = known[type(step)](step, picture)
        return picture.permute(1, 2, 0).contiguous()

    return transform


def _modes(crop: Any) -> tuple[str, ...]:
    """What a crop is resized by, one of them at random."""
    given = crop.interpolation
    modes = tuple(mode.value for mode in (given if isinstance(given, tuple | list) else [given]))
    if set(modes) - set(_MODES):
        raise _not_here(f"{crop.interpolation} crops")
    return modes


def _not_here(what: str) -> UserError:
    return UserError(
        "train.transform_with = 'torch' has random crops (bilinear, bicubic), mirrors and jitter of"
        f" brightness, contrast and saturation, and not {what}; set train.transform_with = 'pillow'"
    )


def _cropped(crop: Any, modes: tuple[str, ...], photo: Photos) -> Tensor:
    """uint8 [3, side, side] of a photo [h, w, 3]."""
    size = torch.empty((1, *photo.shape[:2]), device="meta")  # all that is asked of a picture
    top, left, height, width = crop.get_params(size, crop.scale, crop.ratio)
    mode = random.choice(modes) if len(modes) > 1 else modes[0]  # noqa: S311 - as timm draws
    cut = np.array(photo[top : top + height, left : left + width])
    pixels = torch.from_numpy(cut).permute(2, 0, 1)[None]
    resized: Tensor = torch.nn.functional.interpolate(pixels, crop.size, mode=mode, antialias=True)
    return resized[0]


def _mirrored(dimension: int, flip: Any, picture: Tensor) -> Tensor:
    return picture.flip(dimension) if torch.rand(1) < flip.p else picture


def _coloured(jitter: Any, picture: Tensor) -> Tensor:
    order, *factors, _ = jitter.get_params(
        jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
    )
    values = picture.float()
    for number in order.tolist():
        factor = factors[number] if number < len(factors) else None
        if factor is not None:
            values = _JITTERS[number](values, factor)
            if factor > 1:  # else it lies between two values of a byte
                values.clamp_(0, 255)
    return values.byte()


def _brightness(values: Tensor, factor: float) -> Tensor:
    return values.mul_(factor)


def _contrast(values: Tensor, factor: float) -> Tensor:
    mean = _grey(values).mean().round_()
    return torch.add(mean.mul_(1 - factor), values, alpha=factor)


def _saturation(values: Tensor, factor: float) -> Tensor:
    return torch.lerp(_grey(values)[None], values, factor)


_JITTERS = (_brightness, _contrast, _saturation)  # as torchvision numbers them


def _grey(values: Tensor) -> Tensor:
    """[h, w] of [3, h, w]."""
    red, green, blue = values
    grey: Tensor = (red * GREY[0]).add_(green, alpha=GREY[1]).add_(blue, alpha=GREY[2])
    return grey
