"""Boxes of a COCO JSON as shares of their photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.parts.datasets.manifest.boxes import clip_boxes
from discl.parts.datasets.manifest.columns import counted

if TYPE_CHECKING:
    import pyarrow as pa

_MIN_INSIDE = 0.5  # share of a box that lies in its photo; a box with less is none


def share_boxes(
    annotations: pa.Table, numbers: NDArray[np.int64], images: pa.Table
) -> tuple[pa.Array, list[str]]:
    """(boxes [n] as shares of their photos, null where there is none; remarks).

    `annotations` [n] have the boxes as written, `numbers` [n] are theirs in the file, from 0, and
    `images` [n] have the sizes of their photos.
    """
    import pyarrow as pa

    remarks: list[str] = []
    column = annotations["box"]
    kind = pa.list_(pa.float64(), 4)
    drawn = np.flatnonzero(np.asarray(column.is_valid()))
    if not len(drawn):
        return pa.nulls(len(column), kind), remarks
    boxes = np.array(column.take(drawn).combine_chunks().flatten(), np.float64).reshape(-1, 4)
    relative = np.array(annotations["relative"])[drawn]
    size = np.stack([np.asarray(images[side].take(drawn)) for side in ("width", "height")], 1)
    if not relative.all() and np.nanmax(boxes[~relative], initial=0) <= 1:
        remarks.append("boxes are shares of the photo, not pixels, for none is larger than 1")
        relative = np.ones_like(relative)
    size = np.where(relative[:, None], 1, size)
    sized: NDArray[np.bool_] = (size > 0).all(1)
    if unsized := int((~sized).sum()):
        remarks.append(
            f"{counted(unsized, 'box', 'boxes')} not used: their images have no width and height"
        )
    clipped, inside = clip_boxes(boxes / np.tile(np.where(sized[:, None], size, np.nan), 2))
    good: NDArray[np.bool_] = inside >= _MIN_INSIDE
    if (bad := np.flatnonzero(np.logical_and(sized, ~good))).size:
        remarks.append(
            f"{counted(len(bad), 'box', 'boxes')} outside the photo or of no size, not used (first:"
            f" annotation {numbers[drawn[bad[0]]] + 1:,}, {boxes[bad[0]].tolist()})"
        )
    if cut := int((good & (inside < 0.99)).sum()):
        remarks.append(f"{counted(cut, 'box', 'boxes')} beyond the edge of the photo, cut at it")
    placed = np.full((len(column), 4), np.nan)
    placed[drawn[good]] = clipped[good]
    none = pa.array(np.isnan(placed[:, 0]))
    return pa.FixedSizeListArray.from_arrays(placed.ravel(), 4, mask=none), remarks
