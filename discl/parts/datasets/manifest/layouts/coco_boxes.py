"""Boxes of a COCO JSON as shares of their photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.text import counted
from discl.parts.datasets.manifest.boxes import clip_boxes
from discl.parts.datasets.manifest.layouts.coco_columns import Boxes

if TYPE_CHECKING:
    import pyarrow as pa

_MIN_INSIDE = 0.5  # share of a box that lies in its photo; a box with less is none


def share_boxes(
    boxes: Boxes, image: NDArray[np.int64], images: pa.Table
) -> tuple[NDArray[np.float32], list[str]]:
    """(box [n, 4] of each annotation as shares of its photo, NaN where there is none; remarks).

    `image` [n] is the row of each annotation in `images`, which have width and height; -1 for none.
    """
    remarks: list[str] = []
    placed = np.full((len(image), 4), np.nan, np.float32)
    known = image[boxes.annotation] >= 0
    annotation, relative = boxes.annotation[known], boxes.relative[known]
    values = boxes.values[known]
    if not len(annotation):
        return placed, remarks
    if not relative.all() and np.nanmax(values[~relative], initial=0) <= 1:
        remarks.append("boxes are shares of the photo, not pixels, for none is larger than 1")
        relative = np.ones_like(relative)
    size = np.stack(
        [
            np.asarray(images[side].take(image[annotation]), np.float64)
            for side in ("width", "height")
        ],
        1,
    )
    size = np.where(relative[:, None], 1, size)
    sized: NDArray[np.bool_] = np.all(size > 0, axis=1)
    if unsized := int((~sized).sum()):
        remarks.append(
            f"{counted(unsized, 'box', 'boxes')} not used: their images have no width and height"
        )
    clipped, inside = clip_boxes(values / np.tile(np.where(sized[:, None], size, np.nan), 2))
    good: NDArray[np.bool_] = inside >= _MIN_INSIDE
    if (bad := np.flatnonzero(np.logical_and(sized, ~good))).size:
        remarks.append(
            f"{counted(len(bad), 'box', 'boxes')} outside the photo or of no size, not used (first:"
            f" annotation {annotation[bad[0]] + 1:,}, {values[bad[0]].tolist()})"
        )
    if cut := int((good & (inside < 0.99)).sum()):
        remarks.append(f"{counted(cut, 'box', 'boxes')} beyond the edge of the photo, cut at it")
    placed[annotation[good]] = clipped[good]
    return placed, remarks
