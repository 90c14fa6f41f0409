"""Edges of a photo, as ControlNets for them were trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Photos

_WEAK, _STRONG = 100, 200  # of the gradient, as ControlNet's authors and its users have them
_TAN_22, _SHIFT = 13573, 15  # tan(22.5 degrees) in fixed point

Integers = NDArray[np.int64]


def edges(photo: Photos) -> NDArray[np.uint8]:
    """Canny's (1986) edges of a photo [h, w, 3]: 255 on an edge, else 0, uint8 [h, w].

    By the rules of OpenCV's `Canny(photo, 100, 200)`, without its library: the gradient of the
    channel where it is largest, thinned along its direction; a weak edge counts where it touches a
    strong one.
    """
    from scipy.ndimage import label

    right, down, size = _gradient(photo)
    thin = _is_ridge(right, down, size) & (size > _WEAK)
    parts, _ = label(thin, structure=np.ones((3, 3)))
    strong = np.unique(parts[thin & (size > _STRONG)])
    kept = np.isin(parts, strong[strong > 0])
    return np.where(kept, np.uint8(255), np.uint8(0))


def _gradient(photo: Photos) -> tuple[Integers, Integers, Integers]:
    """(to the right, down, size) [h, w] by Sobel's operator, of each pixel's steepest channel."""
    from scipy.ndimage import correlate1d

    values = photo.astype(np.int64)

    def along(axis: int) -> Any:
        difference = correlate1d(values, [-1, 0, 1], axis=axis, mode="nearest")
        return correlate1d(difference, [1, 2, 1], axis=1 - axis, mode="nearest")

    down, right = along(0), along(1)
    sizes = np.abs(right) + np.abs(down)
    steepest = sizes.argmax(2)[..., None]
    of_channel = (np.take_along_axis(part, steepest, 2)[..., 0] for part in (right, down, sizes))
    one, two, three = of_channel
    return one, two, three


def _is_ridge(right: Integers, down: Integers, size: Integers) -> NDArray[np.bool_]:
    """[h, w], whether the gradient is largest across the edge, with nothing beyond the photo."""
    around = np.pad(size, 1)
    height, width = size.shape

    def beside(rows: int, columns: int) -> Integers:
        return around[1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    flat, steep = np.abs(right) * _TAN_22, np.abs(down) << _SHIFT
    is_upright = steep < flat  # an edge from top to bottom
    is_level = steep > flat + (np.abs(right) << (_SHIFT + 1))
    falling = (right ^ down) >= 0
    before = np.where(falling, beside(-1, -1), beside(-1, 1))
    behind = np.where(falling, beside(1, 1), beside(1, -1))
    aslant = (size > before) & (size > behind)
    upright = (size > beside(0, -1)) & (size >= beside(0, 1))
    level = (size > beside(-1, 0)) & (size >= beside(1, 0))
    return np.where(is_upright, upright, np.where(is_level, level, aslant))
