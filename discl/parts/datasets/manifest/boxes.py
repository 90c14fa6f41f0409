"""Boxes of animals: cut at the photo's edges, written into references, and cropped."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Box, Photos

_PARTS = 10_000  # a box in a reference is written in ten-thousandths of the photo
_WITH_BOX = re.compile(r"(.+)#(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})", re.DOTALL)


def ref_with_box(ref: str, box: Sequence[float]) -> str:
    """The reference of a part of a photo: `a/b.jpg#2500,0,5000,10000` is its middle half.

    The box is given as shares, and rounded to ten-thousandths, at least one wide and high.
    """
    left, top = (min(round(value * _PARTS), _PARTS - 1) for value in box[:2])
    right, bottom = (min(round((box[axis] + box[axis + 2]) * _PARTS), _PARTS) for axis in (0, 1))
    return f"{ref}#{left},{top},{max(1, right - left)},{max(1, bottom - top)}"


def split_box(ref: str) -> tuple[str, Box | None]:
    """(reference of the photo, the box as shares); None where the reference is a whole photo."""
    found = _WITH_BOX.fullmatch(ref) if "#" in ref else None
    if not found:
        return ref, None
    x, y, width, height = (int(number) / _PARTS for number in found.groups()[1:])
    is_box = width > 0 and height > 0 and x + width <= 1 and y + height <= 1
    return (found[1], (x, y, width, height)) if is_box else (ref, None)


def crop_pixels(photo: Photos, box: Sequence[float], padding: float = 0.0) -> Photos:
    """The part [h, w, 3] of a photo [H, W, 3] that a box shows, as a view.

    `padding`: share of the box's longer side that is added on each side. The shorter side is
    made as long as the longer as far as the photo reaches, so that a square cut from the middle
    holds all of the box; at the edge the square is moved inwards.
    """
    (top, bottom), (left, right) = _edges(photo.shape[0], photo.shape[1], box, padding)
    return photo[top:bottom, left:right]


def crop_size(
    height: int, width: int, box: Sequence[float], padding: float = 0.0
) -> tuple[int, int]:
    """(height, width) of what `crop_pixels` gives of a photo of that size."""
    (top, bottom), (left, right) = _edges(height, width, box, padding)
    return bottom - top, right - left


def _edges(
    height: int, width: int, box: Sequence[float], padding: float
) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)) in pixels."""
    x, y, w, h = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    side = max(w, h) * (1 + 2 * padding)
    return _extent(y, h, side, height), _extent(x, w, side, width)


def _extent(start: float, length: float, side: float, limit: int) -> tuple[int, int]:
    """First and last pixel of a stretch of `side` around one of `length`, within the photo."""
    pixels = max(1, min(limit, round(max(side, length))))
    first = round(start + length / 2 - pixels / 2)
    first = min(max(first, 0), limit - pixels)
    return first, first + pixels


def clip_boxes(boxes: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(boxes [n, 4] cut at the edges of the photo, the share [n] of each that lies inside).

    Boxes are x, y, width, height as shares of the photo; the share is 0 for what is no box.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        start = np.clip(boxes[:, :2], 0, 1)
        end = np.clip(boxes[:, :2] + boxes[:, 2:], 0, 1)
        extent = np.maximum(end - start, 0)
        inside = extent.prod(1) / boxes[:, 2:].prod(1)
        valid = np.isfinite(boxes).all(1) & (boxes[:, 2:] > 0).all(1)
    return np.concatenate([start, extent], 1), np.where(valid, inside, 0)
