"""Random translation, mirroring, crops and colours of a batch: uint8 in, uint8 out, no loop.

Parameters are drawn for a whole batch and each image has its own, so that a part of a batch is
augmented as it would be within the whole.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from discl.engine.training.config import TrainConfig

CROP_TRIES = 10  # as torchvision's RandomResizedCrop, which then takes the whole picture
GREY = (19595, 38470, 7471)  # weights of red, green, blue in a grey, of 65536: ITU-R 601, as in PIL


class Parameters(NamedTuple):
    """What is drawn for the images of a batch, which are the last dimension; None = not asked."""

    shift: Tensor | None  # int [2, b]: pixels down and to the right
    mirrored: Tensor | None  # bool [b]
    crop: Tensor | None  # [4, b]: height, width, top, left, as shares of the picture
    colour: Tensor | None  # [3, b]: factors of brightness, contrast and saturation

    def of(self, rows: slice) -> Parameters:
        """Those of some images."""
        return Parameters(*(None if drawn is None else drawn[..., rows] for drawn in self))


def parameters(count: int, config: TrainConfig, generator: torch.Generator) -> Parameters:
    """Parameters of `count` images as the settings ask for them."""
    shift = mirrored = crop = colour = None
    if config.random_translate:
        size = (2, count, 1, 1)
        shift = torch.randint(
            -config.random_translate, config.random_translate + 1, size, generator=generator
        )
        shift = shift.view(2, count)
    if config.hflip:
        mirrored = torch.rand(count, 1, 1, generator=generator).view(count) < 0.5
    if config.random_resized_crop:
        crop = _crops(count, config, generator)
    if any(config.colour_strengths):
        strengths = torch.tensor(config.colour_strengths)[:, None]
        colour = 1 + strengths * (2 * torch.rand(3, count, generator=generator) - 1)
    return Parameters(shift, mirrored, crop, colour)


def _crops(count: int, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """[4, b]: the share of the area is uniform, and so is the logarithm of the aspect ratio.

    What would stick out of a square picture is drawn again, ten times at most.
    """
    smallest, largest = config.random_resized_crop
    low, high = (math.log(ratio) for ratio in config.crop_ratio)
    drawn = torch.rand(2, CROP_TRIES, count, generator=generator)
    area = smallest + (largest - smallest) * drawn[0]
    ratio = torch.exp(low + (high - low) * drawn[1])
    height, width = (area / ratio).sqrt(), (area * ratio).sqrt()
    fits = (height <= 1) & (width <= 1)
    first = fits.int().argmax(0, keepdim=True)  # of equals, the first
    any_fits = fits.any(0)
    height, width = (
        torch.where(any_fits, each.gather(0, first)[0], torch.ones(count))
        for each in (height, width)
    )
    corner = torch.rand(2, count, generator=generator)
    return torch.stack([height, width, corner[0] * (1 - height), corner[1] * (1 - width)])


def augmented(photos: Tensor, drawn: Parameters) -> Tensor:
    """uint8 [b, h, w, 3] of photos of that shape: translated, mirrored, cropped, then coloured.

    What a translation uncovers is filled by reflection. A crop is enlarged to the photo's size,
    bilinearly.
    """
    if drawn.crop is None:
        photos = _moved(photos, drawn.shift, drawn.mirrored)
    else:
        photos = _cropped(photos, drawn.crop, drawn.shift, drawn.mirrored)
    return photos if drawn.colour is None else _coloured(photos, drawn.colour)


def _moved(photos: Tensor, shift: Tensor | None, mirrored: Tensor | None) -> Tensor:
    if shift is None and mirrored is None:
        return photos
    count, h, w, channels = photos.shape
    down = torch.arange(h)[None, :, None]
    across = torch.arange(w)[None, None, :]
    if shift is not None:
        down = _reflected(down + shift[0, :, None, None], h)
        across = _reflected(across + shift[1, :, None, None], w)
    if mirrored is not None:
        across = torch.where(mirrored[:, None, None], w - 1 - across, across)
    # one index a pixel takes a third of the time of three
    index = (torch.arange(count)[:, None, None] * h + down) * w + across
    return photos.reshape(-1, channels).index_select(0, index.reshape(-1)).view(photos.shape)


def _reflected(index: Tensor, size: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)


def _cropped(photos: Tensor, crop: Tensor, shift: Tensor | None, mirrored: Tensor | None) -> Tensor:
    """All that moves pixels, in one reading of them."""
    _, h, w, _ = photos.shape
    down = _read_at(h, crop[0], crop[2])
    across = _read_at(w, crop[1], crop[3])
    if shift is not None:
        down = _folded(down + shift[0, :, None], h)
        across = _folded(across + shift[1, :, None], w)
    if mirrored is not None:
        across = torch.where(mirrored[:, None], w - 1 - across, across)
    # two readings in a line each, of rows and then of pixels: less arithmetic than of all four
    # neighbours of a pixel
    values = _blended(photos.flatten(2), down)
    values = _blended(values.view(photos.shape).transpose(1, 2).flatten(2), across)
    return values.view(photos.shape[0], w, h, -1).transpose(1, 2).round_().byte()


def _read_at(size: int, length: Tensor, start: Tensor) -> Tensor:
    """[b, size]: where in a line of `size` pixels each pixel of a crop is read."""
    middles = (torch.arange(size) + 0.5) * length[:, None]
    return (middles + start[:, None] * size - 0.5).clamp(0, size - 1)


def _folded(at: Tensor, size: int) -> Tensor:
    """Places reflected at the first and the last pixel."""
    at = at.abs()
    return torch.where(at > size - 1, 2 * (size - 1) - at, at)


def _blended(lines: Tensor, at: Tensor) -> Tensor:
    """float [b, n, k]: of lines [b, n, k] between the two nearest to places [b, n]."""
    count, size, length = lines.shape
    below = at.floor()
    index = below.long() + torch.arange(count)[:, None] * size
    last = torch.arange(count)[:, None] * size + size - 1
    flat = lines.reshape(-1, length)
    one, other = (
        flat.index_select(0, each.reshape(-1)).view(count, -1, length).float()
        for each in (index, torch.minimum(index + 1, last))
    )
    return one.add_((other.sub_(one)).mul_((at - below)[:, :, None]))


def _coloured(photos: Tensor, factors: Tensor) -> Tensor:
    """Brightness, then contrast, then saturation, each towards 0, the mean grey, the pixel's grey.

    Values are clipped after each.
    """
    brightness, contrast, saturation = factors[:, :, None, None, None]
    values = (photos * brightness).clamp_(0, 255)
    # an exact sum, which no division of the work can change
    mean = _grey(values).round_().flatten(1).long().sum(1) / values[0, ..., 0].numel()
    mean = mean.to(values.dtype)[:, None, None, None]
    values.sub_(mean).mul_(contrast).add_(mean).clamp_(0, 255)
    grey = _grey(values)
    coloured: Tensor = values.sub_(grey).mul_(saturation).add_(grey).clamp_(0, 255)
    return coloured.round_().byte()


def _grey(values: Tensor) -> Tensor:
    """[b, h, w, 1] of [b, h, w, 3]."""
    red, green, blue = (weight / 65536 for weight in GREY)
    grey = values[..., :1] * red
    return grey.add_(values[..., 1:2], alpha=green).add_(values[..., 2:], alpha=blue)
