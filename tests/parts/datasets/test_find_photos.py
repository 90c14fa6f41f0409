"""Names in a list become references of photos, however they begin."""

from __future__ import annotations

import pyarrow as pa
import pytest

from discl.parts.datasets.manifest.lists.find_photos import find_photos

N = None


@pytest.mark.parametrize(
    ("written", "known", "expected"),
    [
        (["a/1.jpg", N, "2.jpg"], ["2.jpg", "a/1.jpg"], ["a/1.jpg", N, "2.jpg"]),
        ([" ./a\\1.jpg ", "b//2.jpg"], ["a/1.jpg", "b/2.jpg"], ["a/1.jpg", "b/2.jpg"]),
        (["S1/1.jpg", "S2/1.jpg"], ["x/S1/1.jpg", "x/S2/1.jpg"], ["x/S1/1.jpg", "x/S2/1.jpg"]),
        (["/home/me/S1/1.jpg", "/home/me/S2/1.jpg"], ["S1/1.jpg"], ["S1/1.jpg", N]),
        (["C:\\own\\S1\\1.jpg"], ["data/S1/1.jpg"], ["data/S1/1.jpg"]),
        (["1.jpg", "2.jpg"], ["train/1.jpg", "val/2.jpg"], ["train/1.jpg", "val/2.jpg"]),
        (["A/IMG_1.JPG"], ["a/img_1.jpg"], ["a/img_1.jpg"]),
        (["x1", "x2"], ["images/x1.jpg", "images/x2.png"], ["images/x1.jpg", "images/x2.png"]),
    ],
)
def test_names_are_found(
    written: list[str | None], known: list[str], expected: list[str | None]
) -> None:
    assert find_photos(pa.array(written, pa.string()), known).refs.to_pylist() == expected


@pytest.mark.parametrize(
    ("written", "known"),
    [
        (["S1/1.jpg", "S2/1.jpg"], ["1.jpg"]),  # which of them it is, nobody knows
        (["S1/1.jpg", "S2/1.jpg"], ["S3/1.jpg"]),
        (["1.jpg"], ["S1/1.jpg", "S2/1.jpg"]),
        (["a.JPG"], ["x/a.jpg", "x/A.jpg"]),
        (["x1"], ["x1.jpg", "x1.png"]),
        (["1.jpg"], []),
    ],
)
def test_names_that_fit_several_photos_are_none(written: list[str], known: list[str]) -> None:
    assert find_photos(pa.array(written), known).refs.null_count == len(written)


def test_a_photo_that_is_there_is_never_given_to_another_name() -> None:
    """Part of a dataset: of S2 nothing is here, although its file names are those of S1."""
    written = [f"S{s}/{n}.jpg" for s in (1, 2) for n in range(9)]
    found = find_photos(pa.array(written), [f"images/S1/{n}.jpg" for n in range(9)])
    assert found.refs.to_pylist() == [f"images/S1/{n}.jpg" for n in range(9)] + [None] * 9
    assert found.sentence() == "images/NAME for NAME"


def test_a_list_is_looked_up_in_its_own_folder_first() -> None:
    known = ["1.jpg", "test/1.jpg"]
    assert find_photos(pa.array(["1.jpg"]), known, ("test", "")).refs.to_pylist() == ["test/1.jpg"]


def test_what_is_missing_is_asked_for_one_by_one_where_that_finds_any() -> None:
    asked = {"100%25.jpg": "100%.jpg", "b%25.jpg": "100%.jpg"}
    known = ["100%.jpg", "c.jpg"]
    found = find_photos(pa.array(["100%25.jpg", "c.jpg"]), known, single=asked.get)
    assert found.refs.to_pylist() == known
    twice = find_photos(pa.array(["100%25.jpg", "b%25.jpg"]), known, single=asked.get)
    assert twice.refs.to_pylist() == [None, None]
