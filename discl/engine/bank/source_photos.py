"""The photos that images are made from: at which size the generator gets them, and read from what.

A generator is given the photos as they were taken wherever the dataset has those. The photos of
training are smaller than most checkpoints work at, and enlarging them would make images of
thumbnails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from discl.core.interfaces import Box, Ints, Photos, Split
from discl.files.photos import PhotoRows, fitted

# a large JPEG is decoded at no less than so many times the size that is wanted, as photos of
# training are: shrinking it further smooths what the decoder's coarse steps leave
_DECODED_TIMES = 2


@dataclass(frozen=True)
class SourceRule:
    """How the photos that images are made from are brought to one size."""

    size: tuple[int, int]  # (height, width) that the generator is given
    originals: bool  # from the photos as they were taken; False = from the pixels of training


def source_rule(
    train: Split, bank_size: Sequence[int], photo_size: tuple[int, int] | None
) -> SourceRule:
    """The rule for a training split.

    `bank_size` is the benchmark's [height, width], or [] where it states none; `photo_size` the
    generator's own (height, width), or None where it has none. Photos as they were taken come at
    the first of the two that there is. Without either they are as training sees them, and so are
    photos of a dataset that has no others, unless the benchmark states a size.
    """
    stated = (bank_size[0], bank_size[1]) if bank_size else None
    wanted = stated or photo_size
    if train.original is not None and wanted:
        return SourceRule(wanted, True)
    return SourceRule(stated or train.pixels.shape[1:3], False)


def source_photos(train: Split, rule: SourceRule, rows: Ints) -> PhotoRows:
    """The photos [m, h, w, 3] of these rows [m], read when they are indexed.

    A photo is scaled until it covers the size, its aspect kept, and cut evenly. One original is in
    memory at a time.
    """
    if not rule.originals and rule.size == train.pixels.shape[1:3]:
        return PhotoRows.of(train.pixels, rows)
    return PhotoRows(partial(_read, train, rule), rows, (*rule.size, 3))


def _read(train: Split, rule: SourceRule, rows: Ints) -> Photos:
    photos = np.empty((len(rows), *rule.size, 3), np.uint8)
    for index, row in enumerate(rows.tolist()):
        photos[index] = fitted(_photo(train, rule, row), rule.size)
    return photos


def source_boxes(train: Split, rule: SourceRule, row: int) -> tuple[Box, ...]:
    """The boxes of a photo within what `source_photos` shows of it.

    They are cut where the photo is; a box in what is cut off is left out.
    """
    boxes = train.boxes(row) if train.boxes else ()
    if not boxes or train.original is None:
        size, views = train.pixels.shape[1:3], [rule.size]
    else:
        size = train.original_size(row) if train.original_size else train.original(row).shape[:2]
        views = [rule.size] if rule.originals else [train.pixels.shape[1:3], rule.size]
    for view in views:
        boxes = tuple(kept for box in boxes if (kept := _cut(box, size, view)))
        size = view
    return boxes


def _cut(box: Box, size: tuple[int, int], view: tuple[int, int]) -> Box | None:
    """A box of a photo of `size` (height, width) in that `fitted` to `view`; None = outside."""
    height, width = size
    seen_width = min(width, height * view[1] / view[0])
    seen_height = min(height, width * view[0] / view[1])
    left, across = _within(box[0] * width, box[2] * width, width, seen_width)
    top, down = _within(box[1] * height, box[3] * height, height, seen_height)
    return (left, top, across, down) if across > 0 and down > 0 else None


def _within(start: float, length: float, whole: float, seen: float) -> tuple[float, float]:
    """Start and length of a stretch, as shares of the `seen` middle of a side."""
    first = (whole - seen) / 2
    begin = min(max((start - first) / seen, 0.0), 1.0)
    end = min(max((start + length - first) / seen, 0.0), 1.0)
    return begin, end - begin


def _photo(train: Split, rule: SourceRule, row: int) -> Photos:
    if not rule.originals or train.original is None:
        return np.asarray(train.pixels[row])
    if train.reduced is None:
        return train.original(row)
    return train.reduced(row, _DECODED_TIMES * max(rule.size))
