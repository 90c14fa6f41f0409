"""Photos are cropped to the animals that a detector found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.detections import cropped
from discl.parts.datasets.manifest.rows import Contents, RowBuilder

CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}


def _contents(*rows: tuple[str, str], **values: Sequence[Any]) -> Contents:
    builder = RowBuilder()
    for place, (ref, label) in enumerate(rows):
        builder.add(ref, label, **{name: column[place] for name, column in values.items()})
    return Contents(builder.table())


def _found(*boxes: Sequence[float], conf: Any = 0.9, category: Any = "1") -> list[dict[str, Any]]:
    return [{"category": category, "conf": conf, "bbox": list(box)} for box in boxes]


def _results(root: Path, images: Sequence[Mapping[str, Any]], **more: Any) -> str:
    content = {
        "info": {"format_version": "1.4"},
        "detection_categories": CATEGORIES,
        "images": images,
    }
    (root / "md.json").write_text(json.dumps({**content, **more}))
    return "md.json"


def _columns(contents: Contents, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(contents.rows[name].to_pylist() for name in names), strict=True))


def _said(contents: Contents, words: str) -> bool:
    return any(words in remark for remark in contents.remarks)


A, B = [0.25, 0.5, 0.5, 0.25], [0, 0, 0.125, 0.25]


def test_each_animal_is_a_row_that_keeps_what_its_photo_has(tmp_path: Path) -> None:
    before = _contents(
        ("1.jpg", "zebra"), ("2.jpg", "lion"), group=["S", None], sequence=["q", None]
    )
    crop = _results(
        tmp_path,
        [{"file": "2.jpg", "detections": _found(A)}, {"file": "1.jpg", "detections": _found(B, A)}],
    )
    after = cropped(before, tmp_path, crop)
    assert _columns(after, "ref", "label", "box", "group", "sequence") == [
        ("1.jpg", "zebra", B, "S", "q"),
        ("1.jpg", "zebra", A, "S", "q"),
        ("2.jpg", "lion", A, None, "2.jpg"),
    ]
    assert _said(after, "3 crops from 2 photos")
    assert cropped(before, tmp_path, "") is before


def test_what_is_not_sure_enough_or_no_animal_is_left_out_and_counted(tmp_path: Path) -> None:
    before = _contents(*((f"{n}.jpg", "zebra") for n in range(6)))
    images = [
        {"file": "0.jpg", "detections": _found(A) + _found(B, category="2")},
        {"file": "1.jpg", "detections": _found(A, conf=0.19)},
        {"file": "2.jpg", "detections": _found(A, category="3")},
        {"file": "3.jpg", "detections": None, "failure": "image access failure"},
        {"file": "4.jpg", "detections": []},
        {"file": "other.jpg", "detections": _found(A)},
        {"file": "v.mp4", "frame_rate": 30, "frames_processed": [1], "detections": _found(A)},
    ]
    after = cropped(before, tmp_path, _results(tmp_path, images))
    assert _columns(after, "ref", "box") == [("0.jpg", A)]
    for words in (
        "1 photo without an entry left out: zebra 1",
        "1 photo that the detector could not read left out: zebra 1",
        "2 photos without a detection that is sure enough left out: zebra 2",
        "1 photo in which only something else than their class was found left out: zebra 1",
        "1 entry of 7 are of no photo among these, not used (first: other.jpg)",
        "1 video not used",
    ):
        assert _said(after, words), words


def test_people_are_cropped_to_persons_and_empty_photos_to_nothing(tmp_path: Path) -> None:
    before = _contents(("1.jpg", "Human"), ("2.jpg", "empty"))
    both = _found(A) + _found(B, category="2")
    images = [{"file": f"{n}.jpg", "detections": both} for n in (1, 2)]
    after = cropped(before, tmp_path, _results(tmp_path, images))
    assert _columns(after, "label", "box") == [("Human", B)]


def test_detections_out_of_range_are_told_and_not_used(tmp_path: Path) -> None:
    wrong = [
        _found(A, conf=1.7), _found(A, conf=float("nan")), _found(A, conf="high"),
        _found([100, 50, 200, 100]), _found([0, 0, 1]), _found([0, 0, 0, 1]),
    ]  # fmt: skip
    good = _found([0.75, 0.5, 0.5, 0.25], conf="0.9", category=1)
    images = [
        {"file": "1.jpg", "detections": [*(one for found in wrong for one in found), *good, *good]}
    ]
    after = cropped(_contents(("1.jpg", "zebra")), tmp_path, _results(tmp_path, images))
    assert after.rows["box"].to_pylist() == [[0.75, 0.5, 0.25, 0.25]]
    assert _said(
        after,
        "6 detections with a confidence or box out of range, not used (first: 1.jpg,"
        " confidence 1.7",
    )


def test_the_box_grows_by_padding_up_to_the_edge(tmp_path: Path) -> None:
    images = [{"file": "1.jpg", "detections": _found(A, B)}]
    after = cropped(_contents(("1.jpg", "z")), tmp_path, _results(tmp_path, images), padding=0.5)
    assert after.rows["box"].to_pylist() == [[0, 0.375, 1, 0.5], [0, 0, 0.1875, 0.375]]


@pytest.mark.parametrize("array", ["images", "predictions"])
@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("file", "C:\\data\\run 1\\S1\\1.jpg"),
        ("file", "S1/1.JPG"),
        ("filepath", "/mnt/photos/S1/1.jpg"),
        ("id", "1"),  # as iWildCam 2020 has it
    ],
)
def test_results_of_other_tools_and_machines_are_of_the_same_photos(
    tmp_path: Path, array: str, key: str, path: str
) -> None:
    (tmp_path / "md.json").write_text(json.dumps({array: [{key: path, "detections": _found(A)}]}))
    before = _contents(("images/S1/1.jpg", "zebra"))
    assert cropped(before, tmp_path, "md.json").rows["box"].to_pylist() == [A]


def test_rows_with_a_box_keep_it_and_photos_of_several_labels_are_left_out(tmp_path: Path) -> None:
    before = _contents(
        ("1.jpg", "zebra"), ("2.jpg", "zebra"), ("2.jpg", "lion"), ("3.jpg", "gnu"),
        box=[B, None, None, None],
    )  # fmt: skip
    images = [{"file": f"{n}.jpg", "detections": _found(A)} for n in (1, 2, 3)]
    after = cropped(before, tmp_path, _results(tmp_path, images))
    assert sorted(_columns(after, "ref", "box")) == [("1.jpg", B), ("3.jpg", A)]
    assert _said(after, "1 row with a box of their own keep it")
    assert _said(after, "1 photo with several labels left out")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": [{"id": 1, "file_name": "1.jpg"}]},
         r"no results of a detector \(its images have id, file_"),
        ({"annotations": []}, r"no results of a detector \(it has no images\); give a JSON in"),
        ([1, 2], r"holds no results of a detector"),
        ({"images": []}, r"dataset\.crop = 'md\.json' lists no photo"),
        ({"images": [{"file": "9.jpg", "detections": _found(A)}]},
         r"no photo is left to crop: .*of no photo among these"),
    ],
)  # fmt: skip
def test_another_kind_of_file_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "md.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        cropped(_contents(("1.jpg", "zebra")), tmp_path, "md.json")


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset\.crop = 'md\.json' is no file in"):
        cropped(_contents(("1.jpg", "zebra")), tmp_path, "md.json")
    (tmp_path / "md.json").write_text('{"images": [{"file": "1.jpg", "detections": []}, {"fi')
    with pytest.raises(UserError, match=r"md\.json cannot be read as JSON"):
        cropped(_contents(("1.jpg", "zebra")), tmp_path, "md.json")
