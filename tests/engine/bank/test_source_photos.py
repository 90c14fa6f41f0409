from typing import Any

import numpy as np
import pytest

from discl.core.interfaces import Photos, Split
from discl.engine.bank.source_photos import SourceRule, source_boxes, source_photos, source_rule
from discl.files.photos import fitted

SHAPES = [(40, 60), (12, 90), (300, 20), (7, 5)]  # usual, very wide, very tall, small


def _original(row: int) -> Photos:
    """Grows brighter to the right and downwards."""
    h, w = SHAPES[row]
    photo = np.zeros((h, w, 3), np.uint8)
    photo[..., 0] = np.linspace(0, 255, w)
    photo[..., 1] = np.linspace(0, 255, h)[:, None]
    return photo


def _split(**has: Any) -> Split:
    rows = np.arange(len(SHAPES))
    pixels = np.stack([fitted(_original(row), (8, 8)) for row in rows.tolist()])
    return Split(rows.astype(str), rows, np.zeros_like(rows), pixels, **has)


@pytest.mark.parametrize(
    ("has_originals", "bank_size", "photo_size", "expected"),
    [
        (True, [], (32, 32), SourceRule((32, 32), True)),
        (True, [16, 24], (32, 32), SourceRule((16, 24), True)),  # the benchmark's comes first
        (True, [16, 24], None, SourceRule((16, 24), True)),
        (True, [], (8, 8), SourceRule((8, 8), True)),  # also where training sees that size
        (True, [], None, SourceRule((8, 8), False)),
        (False, [], (32, 32), SourceRule((8, 8), False)),  # the embedded photos are not enlarged
        (False, [16, 24], (32, 32), SourceRule((16, 24), False)),
        (False, [], None, SourceRule((8, 8), False)),
    ],
)
def test_originals_come_at_the_first_size_that_is_stated(
    has_originals: bool, bank_size: list[int], photo_size: Any, expected: SourceRule
) -> None:
    train = _split(original=_original) if has_originals else _split()
    assert source_rule(train, bank_size, photo_size) == expected


@pytest.mark.parametrize("row", range(len(SHAPES)))
def test_an_original_of_any_shape_covers_the_size_and_is_not_distorted(row: int) -> None:
    rule = SourceRule((24, 24), True)
    photo = source_photos(_split(original=_original), rule, np.array([row]))[0].astype(int)
    h, w = SHAPES[row]
    square = min(h, w)
    for channel, side in ((0, w), (1, h)):  # what is left is the middle, as training sees it
        along = photo[12, :, 0] if channel == 0 else photo[:, 12, 1]
        share = square / side
        assert along[0] == pytest.approx(255 * (0.5 - share / 2), abs=25)
        assert along[-1] == pytest.approx(255 * (0.5 + share / 2), abs=25)


def test_training_pixels_are_read_only_where_there_is_nothing_better() -> None:
    rows = np.array([2, 0])
    plain = _split()
    same = source_photos(plain, SourceRule((8, 8), False), rows)
    assert np.array_equal(np.asarray(same), plain.pixels[rows])
    larger = source_photos(plain, SourceRule((16, 24), False), rows)
    assert np.array_equal(larger[0], fitted(plain.pixels[2], (16, 24)))


def test_an_original_is_decoded_no_larger_than_it_is_needed() -> None:
    asked = []

    def reduced(row: int, side: int) -> Photos:
        asked.append((row, side))
        return _original(row)

    def whole(row: int) -> Photos:
        raise AssertionError("decoded whole")

    photos = source_photos(
        _split(original=whole, reduced=reduced), SourceRule((16, 24), True), np.array([3, 0])
    )
    assert photos.shape == (2, 16, 24, 3)
    assert not asked  # nothing is read before it is wanted
    photos[1]
    assert asked == [(0, 48)]  # twice the longer side, as for photos of training


# ---------------------------------------------------------------- boxes

MIDDLE = (0.25, 0.25, 0.5, 0.5)


def _boxes(*boxes: Any, **has: Any) -> Any:
    """Those of a photo of 40x60, cut to a square: 10 of its 60 columns go on each side."""
    split = _split(boxes=lambda row: boxes, **has)
    rule = SourceRule((24, 24), "original" in has)
    return [tuple(round(value, 4) for value in box) for box in source_boxes(split, rule, 0)]


@pytest.mark.parametrize("has", [{"original": _original}, {"original_size": SHAPES.__getitem__}])
def test_boxes_follow_the_cut_to_the_size(has: Any) -> None:
    has = {"original": _original, **has}
    # across: 15 .. 45 of 60 are 5 .. 35 of the 40 in the middle
    assert _boxes(MIDDLE, **has) == [(0.125, 0.25, 0.75, 0.5)]
    # what reaches into what is cut off is cut with it, and what lies there is gone
    assert _boxes((0.0, 0.0, 0.5, 1.0), (0.0, 0.0, 0.1, 1.0), **has) == [(0.0, 0.0, 0.5, 1.0)]


def test_boxes_of_photos_without_originals_are_of_their_pixels() -> None:
    assert _boxes(MIDDLE) == [MIDDLE]


def test_boxes_of_the_original_are_cut_to_the_square_that_training_sees() -> None:
    split = _split(boxes=lambda row: (MIDDLE,), original=_original)
    kept = source_boxes(split, SourceRule((8, 8), False), 0)
    assert kept[0] == pytest.approx((0.125, 0.25, 0.75, 0.5))


def test_a_split_without_boxes_has_none() -> None:
    assert source_boxes(_split(), SourceRule((8, 8), False), 0) == ()
