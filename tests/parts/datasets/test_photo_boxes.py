"""Boxes of a detector are offered for whole photos, by class."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.core.interfaces import Listing
from discl.parts.datasets.manifest.photo_boxes import PhotoBoxes

CLASSES = ("zebra", "human", "empty")


def _listing(*rows: tuple[str, int]) -> Listing:
    refs, labels = zip(*rows, strict=True)
    return Listing(np.array(refs), np.array(labels), np.zeros(len(rows), np.int64))


def _file(root: Path, images: list[dict[str, Any]], **more: Any) -> str:
    (root / "md.json").write_text(json.dumps({"images": images, **more}))
    return "md.json"


def _found(box: list[float], conf: float = 0.9, category: str = "1") -> dict[str, Any]:
    return {"category": category, "conf": conf, "bbox": box}


A, B = [0.25, 0.5, 0.5, 0.25], [0, 0, 0.125, 0.25]


def test_photos_have_the_boxes_of_their_kind_most_certain_first(tmp_path: Path) -> None:
    name = _file(
        tmp_path,
        [
            {"file": "train/1.jpg", "detections": [_found(B, 0.5), _found(A), _found(A, 0.8)]},
            {"file": "train/2.jpg", "detections": [_found(A), _found(B, category="2")]},
            {"file": "train/3.jpg", "detections": [_found(A)]},
            {"file": "elsewhere.jpg", "detections": [_found(A)]},
        ],
    )
    listing = _listing(("train/2.jpg", 1), ("train/1.jpg", 0), ("train/3.jpg", 2), ("train/4", 0))
    boxes = PhotoBoxes(tmp_path, name, 0.2)
    # the person of the photo of a human; nothing of one that is empty, or that is not in the file
    assert boxes.of(listing, CLASSES) == [(tuple(B),), (tuple(A), tuple(B)), (), ()]
    assert PhotoBoxes(tmp_path, name, 0.6).of(listing, CLASSES)[1] == (tuple(A),)
    assert "train: 2 photos of 4 have a box of md.json" in boxes.remark("train", listing, CLASSES)


def test_ids_name_photos_and_boxes_are_cut_at_the_edge(tmp_path: Path) -> None:
    """As in the results that were published for iWildCam 2020."""
    name = _file(
        tmp_path,
        [
            {"id": "8b31d3be", "detections": [_found([0.9, 0.9, 0.5, 0.05]), _found(B, 0.1)]},
            {"id": "8cf202be", "detections": [_found([1.2, 0, 0.1, 0.1]), _found([0, 0, 0, 1])]},
        ],
    )
    listing = _listing(("train/8b31d3be.jpg", 0), ("train/8cf202be.jpg", 0))
    assert PhotoBoxes(tmp_path, name, 0.2).of(listing, CLASSES) == [((0.9, 0.9, 0.1, 0.05),), ()]


def test_a_crop_has_no_boxes(tmp_path: Path) -> None:
    name = _file(tmp_path, [{"file": "a.jpg", "detections": [_found(A)]}])
    listing = _listing(("a.jpg#0,0,5000,5000", 0), ("a.jpg", 0))
    assert PhotoBoxes(tmp_path, name, 0.2).of(listing, CLASSES) == [(), (tuple(A),)]


def test_the_digest_follows_the_file_and_the_confidence(tmp_path: Path) -> None:
    name = _file(tmp_path, [{"file": "a.jpg", "detections": [_found(A)]}])
    digests = {PhotoBoxes(tmp_path, name, confidence).digest for confidence in (0.2, 0.2, 0.3)}
    _file(tmp_path, [{"file": "a.jpg", "detections": [_found(B)]}])
    assert len(digests) == 2
    assert PhotoBoxes(tmp_path, name, 0.2).digest not in digests


def test_what_is_no_file_of_a_detector_is_refused_under_its_setting(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"dataset.boxes = 'md.json' is no file in"):
        PhotoBoxes(tmp_path, "md.json", 0.2)
    name = _file(tmp_path, [{"file_name": "a.jpg", "id": 1}])
    with pytest.raises(UserError, match=r"dataset.boxes = 'md.json' holds no results"):
        PhotoBoxes(tmp_path, name, 0.2).of(_listing(("a.jpg", 0)), CLASSES)
    with pytest.raises(UserError, match=r"dataset.boxes_confidence = 20: takes 0 to 1"):
        PhotoBoxes(tmp_path, name, 20)
