"""Photos as another camera would have taken them: the pictures the gap generator learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from discl.core.interfaces import Photos
from discl.miniature.pictures import to_signal

_AT_A_TIME = 1000  # photos
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Retake:
    """How the other camera's pictures differ from the photos, on pixel values 0 to 1.

    A window `window` of the photo's side wide fills the picture, so resolution is lost with the
    surroundings; it lies up to `off_centre` of the room left from the middle. Colours are
    `saturation` times as far from grey, each channel is multiplied by its `cast` and by a factor
    within `drift` of one, drawn a picture and channel. `contrast` of an S curve is blended in.
    """

    window: tuple[float, float] = (0.56, 0.75)
    off_centre: float = 0.4
    saturation: float = 1.7
    cast: tuple[float, float, float] = (1.12, 1.0, 0.78)
    drift: float = 0.1
    contrast: float = 0.8
    seed: int = 5


RETAKE = Retake()


def retaken(photos: Photos, by: Retake = RETAKE) -> Photos:
    """Photos [n, h, w, 3] as `by` takes them, uint8 of the same shape.

    What is drawn for a picture depends on the seed and on its place alone.
    """
    taken = [
        _retaken(photos[i : i + _AT_A_TIME], by, np.random.default_rng([by.seed, i]))
        for i in range(0, len(photos), _AT_A_TIME)
    ]
    return np.concatenate(taken)


def _retaken(photos: Photos, by: Retake, rng: np.random.Generator) -> Photos:
    draws = torch.from_numpy(rng.random((_AT_A_TIME, 6), np.float32))[: len(photos)]
    pixels = (to_signal(photos, torch.device("cpu")) + 1) / 2
    pixels = _zoomed(pixels, by, draws[:, :3])
    pixels = _coloured(pixels, by, draws[:, 3:])
    curve = pixels * pixels * (3 - 2 * pixels)
    pixels = torch.lerp(pixels, curve, by.contrast)
    taken: Photos = pixels.mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return taken


def _zoomed(pixels: Tensor, by: Retake, draws: Tensor) -> Tensor:
    low, high = by.window
    share = low + (high - low) * draws[:, 0]
    places = (2 * draws[:, 1:] - 1) * (1 - share[:, None]) * by.off_centre
    window = torch.zeros(len(pixels), 2, 3)
    window[:, 0, 0] = window[:, 1, 1] = share
    window[:, :, 2] = places
    grid = F.affine_grid(window, list(pixels.shape), align_corners=False)
    zoomed = F.grid_sample(
        pixels, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
    return zoomed.clamp(0, 1)


def _coloured(pixels: Tensor, by: Retake, draws: Tensor) -> Tensor:
    grey = (pixels * torch.tensor(_LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    cast = torch.tensor(by.cast) * (1 + by.drift * (2 * draws - 1))
    return ((grey + (pixels - grey) * by.saturation) * cast[:, :, None, None]).clamp(0, 1)
