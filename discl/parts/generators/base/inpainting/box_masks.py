"""Which places of an image are repainted: from boxes, as shares of the photo, to masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Box, Floats


def objects_mask(boxes: Sequence[Box], places: tuple[int, int], soft: float = 0.0) -> Floats:
    """[h, w], how far each of `places` (height, width) belongs to an object, from 0 to 1.

    Every place that a box touches is 1: a place of latents is several pixels wide, and part of an
    animal must not be cut off. Outside it falls to 0 over `soft`, a share of the shorter side.
    """
    height, width = places
    mask = np.zeros(places, np.float32)
    reach = soft * min(places)
    for box in boxes:
        top, bottom = _touched(box[1], box[3], height)
        left, right = _touched(box[0], box[2], width)
        down, across = _beyond(height, top, bottom), _beyond(width, left, right)
        distance = np.hypot(down[:, None], across[None, :])
        near = distance == 0 if reach == 0 else np.clip(1 - distance / reach, 0, 1)
        mask = np.maximum(mask, near.astype(np.float32))
    return mask


def _touched(start: float, length: float, places: int) -> tuple[int, int]:
    """First and one behind the last place that a stretch touches, within 0 .. `places`."""
    # what is a whole place but for rounding does not touch the next
    first = math.floor(start * places + 1e-6)
    end = math.ceil((start + length) * places - 1e-6)
    first = min(max(first, 0), places - 1)
    return first, min(max(end, first + 1), places)


def _beyond(places: int, first: int, end: int) -> Floats:
    """[places], how far each place is from those of `first` .. `end`; 0 in them."""
    at = np.arange(places, dtype=np.float32)
    return np.maximum(np.maximum(first - at, at - (end - 1)), 0)


def check_box(box: Sequence[float]) -> None:
    """Raises UserError for what is no box, or one that lies outside the photo."""
    numbers = len(box) == 4 and all(math.isfinite(value) for value in box)
    if not numbers or box[2] <= 0 or box[3] <= 0:
        raise UserError(
            f"box {_shown(box)} has no area; it takes x, y, width and height as shares of the"
            " photo, the last two above 0"
        )
    x, y, width, height = box
    if x >= 1 or y >= 1 or x + width <= 0 or y + height <= 0:
        raise UserError(
            f"box {_shown(box)} lies outside the photo; x, y, width and height are shares of it,"
            " from 0 to 1, not pixels"
        )


def _shown(box: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in box)})"
