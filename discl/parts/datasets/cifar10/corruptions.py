"""Corruptions after the kinds of Hendrycks & Dietterich (2019), deterministic for each photo.

They are not those of CIFAR-10-C: names and severities are our own, and no number of one can stand
beside a number of the other. `docs/explanation/corruptions.md` says how strong each is.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from PIL import Image

from discl.core.errors import UserError, unknown
from discl.core.hashing import seed_of
from discl.core.interfaces import Photos
from discl.core.renamed_splits import word_of_0_1

Signal = np.ndarray[Any, np.dtype[np.float64]]  # [h, w, 3], in [0, 1]
Corruption = Callable[[Signal, int, np.random.Generator], Signal]
SEVERITIES = range(1, 6)


def sensor_noise(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    return photo + rng.normal(0, (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1], photo.shape)


def photon_noise(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    photons = (500, 250, 100, 75, 50)[severity - 1]
    return rng.poisson(photo * photons) / photons


def smeared(photo: Signal, length: int, angle: float) -> Signal:
    """A photo [h, w, 3] blurred along a line of 1 to 7 pixels."""
    total = np.zeros_like(photo)
    steps = np.linspace(-(length - 1) / 2, (length - 1) / 2, 2 * length - 1)
    padded = np.pad(photo, ((4, 4), (4, 4), (0, 0)), mode="reflect")
    h, w = photo.shape[:2]
    for step in steps:
        dy = step * np.sin(angle)
        dx = step * np.cos(angle)
        y = int(np.floor(dy))
        x = int(np.floor(dx))
        fy = dy - y
        fx = dx - x
        for oy, wy in ((0, 1 - fy), (1, fy)):
            for ox, wx in ((0, 1 - fx), (1, fx)):
                total += wy * wx * padded[4 + y + oy : 4 + y + oy + h, 4 + x + ox : 4 + x + ox + w]
    return total / len(steps)


def smear(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    """Blur over 3 to 7 pixels in a random direction."""
    return smeared(photo, (3, 4, 5, 6, 7)[severity - 1], rng.uniform(0, np.pi))


def coarser(photo: Signal, share: float) -> Signal:
    """A photo [h, w, 3] at `share` of its resolution, scaled back: the subject is farther away."""
    h, w = photo.shape[:2]
    image = Image.fromarray((photo * 255).astype(np.uint8))
    small = image.resize((max(1, round(w * share)), max(1, round(h * share))), Image.Resampling.BOX)
    return np.asarray(small.resize((w, h), Image.Resampling.BILINEAR)) / 255.0


def zoom_out(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    return coarser(photo, (0.85, 0.75, 0.65, 0.55, 0.45)[severity - 1])


def low_light(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    """Darker, with sensor noise."""
    gain = (0.7, 0.55, 0.42, 0.32, 0.25)[severity - 1]
    return photo * gain + rng.normal(0, 0.015, photo.shape)


def low_contrast(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    share = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    return np.asarray((photo - photo.mean()) * share + photo.mean())


def haze(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    """White haze whose density varies smoothly over the photo."""
    density = (0.25, 0.4, 0.5, 0.6, 0.7)[severity - 1]
    coarse = Image.fromarray((rng.random((4, 4)) * 255).astype(np.uint8))
    cloud = (
        np.asarray(coarse.resize(photo.shape[1::-1], Image.Resampling.BICUBIC))[:, :, None] / 255.0
    )
    veil = density * (0.5 + cloud)
    return photo * (1 - veil) + 0.9 * veil


def compressed(photo: Signal, quality: int) -> Signal:
    """A photo [h, w, 3] after JPEG compression of `quality`, 1 to 95."""
    buffer = io.BytesIO()
    Image.fromarray((photo * 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer)) / 255.0


def low_quality(photo: Signal, severity: int, rng: np.random.Generator) -> Signal:
    return compressed(photo, (70, 50, 30, 20, 12)[severity - 1])


FAMILIES: dict[str, Corruption] = {
    part.__name__: part
    for part in (
        sensor_noise,
        photon_noise,
        smear,
        zoom_out,
        low_light,
        low_contrast,
        haze,
        low_quality,
    )
}


def corrupt(family: str, severity: int, photos: Photos, ids: Iterable[str]) -> Photos:
    """Corrupted copies of photos, uint8 [n, h, w, 3], at `severity` 1 to 5.

    The noise of a photo depends only on its id. Raises UserError for another family or severity.
    """
    if family not in FAMILIES:
        raise unknown("corruption", family, FAMILIES)
    if severity not in SEVERITIES:
        raise UserError(f"corruption {family}: severity {severity} is not one of 1 to 5; take one")
    word = word_of_0_1(family)  # the names changed in 0.2, and no pixel
    images = np.empty(photos.shape, np.uint8)
    for row, (photo, name) in enumerate(zip(photos, ids, strict=True)):
        rng = np.random.default_rng(seed_of("corruption", word, severity, str(name)))
        corrupted = FAMILIES[family](photo / 255.0, severity, rng)
        images[row] = (np.clip(corrupted, 0, 1) * 255 + 0.5).astype(np.uint8)
    return images
