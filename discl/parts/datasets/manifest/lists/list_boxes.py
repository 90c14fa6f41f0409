"""Boxes of animals in a list: four columns with the corners, two with the photo's size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.parts.datasets.manifest.boxes import clip_boxes
from discl.parts.datasets.manifest.lists.reading import Columns
from discl.parts.datasets.manifest.rows import row_schema
from discl.parts.datasets.manifest.usual_names import plain_name

if TYPE_CHECKING:
    import pyarrow as pa

_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
)
_SIZES = (("width", "height"), ("image_width", "image_height"), ("img_width", "img_height"))


def box_columns(sample: Columns) -> tuple[tuple[str, ...], str]:
    """(columns of left, top, right and bottom, and of the photo's width and height, a remark).

    The size is left out where the corners are shares of it; () = the list has no boxes, or they
    are in pixels of photos whose size it does not give, which is said.
    """
    plain = {plain_name(name): name for name in sample}
    corners = next((four for four in _CORNERS if set(four) <= plain.keys()), None)
    if corners is None:
        return (), ""
    named = tuple(plain[name] for name in corners)
    numbers = np.concatenate([_numbers(sample[name]) for name in named])
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) and (numbers <= 1).all():
        return named, ""
    size = next((two for two in _SIZES if set(two) <= plain.keys()), None)
    if size is None:
        return (), (
            f"columns {', '.join(named)} hold boxes in pixels and no column the photos' width and"
            " height: they are not used"
        )
    return (*named, *(plain[name] for name in size)), ""


def boxes_of(batch: Columns, columns: Sequence[str]) -> pa.Array:
    """The boxes [n] of rows as x, y, width, height in shares of the photo; null = it has none."""
    import pyarrow as pa

    kind = row_schema().field("box").type
    count = len(next(iter(batch.values())))
    if not columns:
        return pa.nulls(count, kind)
    corners = np.stack([_numbers(batch[name]) for name in columns[:4]], 1)
    if len(columns) > 4:
        with np.errstate(divide="ignore", invalid="ignore"):
            size = np.stack([_numbers(batch[name]) for name in columns[4:]], 1)
            corners = corners / np.tile(size, 2)
    start = corners[:, :2]
    boxes, inside = clip_boxes(np.concatenate([start, corners[:, 2:] - start], 1))
    given = [box if share > 0 else None for box, share in zip(boxes.tolist(), inside, strict=True)]
    return pa.array(given, kind)


def _numbers(cells: Sequence[str | None]) -> NDArray[np.float64]:
    """Cells as numbers; NaN = it is none."""
    return np.array([_number(cell) for cell in cells], np.float64)


def _number(cell: str | None) -> float:
    try:
        return float((cell or "nan").replace(",", "."))
    except ValueError:
        return float("nan")
