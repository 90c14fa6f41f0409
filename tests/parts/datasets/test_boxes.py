"""Boxes in references, and the part of a photo that they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from discl.parts.datasets.manifest.boxes import clip_boxes, crop_pixels, ref_with_box, split_box


def test_a_box_is_written_into_a_reference_and_read_back() -> None:
    assert ref_with_box("a/b.jpg", (0.25, 0, 0.5, 1)) == "a/b.jpg#2500,0,5000,10000"
    assert split_box("a/b.jpg#2500,0,5000,10000") == ("a/b.jpg", (0.25, 0.0, 0.5, 1.0))


@settings(max_examples=50)
@given(
    st.text(min_size=1),
    st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda box: min(box) < 1),
)
def test_any_name_and_box_come_back(name: str, numbers: list[float]) -> None:
    x, y, width, height = numbers
    box = (x, y, (1 - x) * width, (1 - y) * height)
    photo, found = split_box(ref_with_box(name, box))
    assert photo == name
    assert found == pytest.approx(box, abs=2.01e-4)


@pytest.mark.parametrize(
    "ref",
    ["a.jpg", "a#1.jpg", "t.parquet#7", "a#1,2,3", "a#1,2,0,4", "a#9000,0,2000,1", "#1,2,3,4"],
)
def test_names_with_a_hash_are_no_boxes(ref: str) -> None:
    assert split_box(ref) == (ref, None)


@pytest.mark.parametrize(
    ("box", "padding", "rows", "columns"),
    [
        ((0.25, 0.25, 0.5, 0.5), 0, (5, 35), (15, 45)),  # 30 x 20 pixels: 30 x 30
        ((0, 0, 1, 1), 0.5, (0, 40), (0, 60)),  # the photo reaches no further
        ((0.9, 0.9, 0.1, 0.1), 0, (34, 40), (54, 60)),
        ((0.9, 0.4, 0.1, 0.2), 0.25, (14, 26), (48, 60)),  # moved inwards at the edge
    ],
)
def test_a_crop_is_as_square_as_the_photo_allows(
    box: tuple[float, ...], padding: float, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    photo = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)
    crop = crop_pixels(photo, box, padding)
    assert crop.tolist() == photo[slice(*rows), slice(*columns)].tolist()


def test_boxes_are_cut_at_the_edge_and_what_is_none_has_nothing_inside() -> None:
    nan = float("nan")
    boxes = np.array(
        [[0.5, 0.5, 1, 0.25], [-0.5, 0, 1, 1], [2, 0, 1, 1], [0, 0, 0, 1], [nan, 0, 1, 1],
         [0.5, 0.5, -0.2, 0.1]]
    )  # fmt: skip
    cut, inside = clip_boxes(boxes)
    assert cut[:2].tolist() == [[0.5, 0.5, 0.5, 0.25], [0, 0, 0.5, 1]]
    assert inside.tolist() == [0.5, 0.5, 0, 0, 0, 0]
