"""Camtrap DP packages: observations of photos or of events, never of both."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.layouts.camtrap_dp import CamtrapDp
from discl.parts.datasets.manifest.rows import Contents, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree

Rows = Sequence[Mapping[str, Any]]
PLACES = (
    {"deploymentID": "d1", "locationID": "L1", "locationName": "wood"},
    {"deploymentID": "d2", "locationID": "NA", "locationName": "lake"},
)
FOX = {"observationType": "animal", "scientificName": "Vulpes vulpes"}
BLANK = {"observationType": "blank"}


def _media(number: int, deployment: str = "d1", **more: Any) -> dict[str, Any]:
    return {
        "mediaID": f"m{number}",
        "deploymentID": deployment,
        "timestamp": f"2024-05-01T10:00:{number:02d}+02:00",
        "filePath": f"media/{number}.jpg",
        "fileMediatype": "image/jpeg",
        **more,
    }


def _event(
    number: str, start: int, end: int, deployment: str = "d1", **more: Any
) -> dict[str, Any]:
    return {
        "deploymentID": deployment,
        "eventID": number,
        "eventStart": f"2024-05-01T08:00:{start:02d}Z",
        "eventEnd": f"2024-05-01T10:00:{end:02d}+0200",
        "observationLevel": "event",
        **more,
    }


def _of(media: int, event: str = "", deployment: str = "d1", **more: Any) -> dict[str, Any]:
    return {
        "deploymentID": deployment,
        "mediaID": f"m{media}",
        "eventID": event,
        "observationLevel": "media",
        **more,
    }


def _table(path: Path, rows: Rows) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, names)
        writer.writeheader()
        writer.writerows(rows)


def _package(root: Path, media: Rows, observations: Rows, places: Rows = PLACES) -> None:
    root.mkdir(parents=True, exist_ok=True)
    tables = {"deployments": places, "media": media, "observations": observations}
    for name, rows in tables.items():
        _table(root / f"{name}.csv", rows)
    names = [
        {"scientificName": "Vulpes vulpes", "vernacularNames": {"eng": "red fox", "nld": "vos"}}
    ]
    resources = [{"name": name, "path": f"{name}.csv"} for name in tables]
    descriptor = {"profile": "camtrap-dp", "resources": resources, "taxonomic": names}
    (root / "datapackage.json").write_text(json.dumps(descriptor))
    (root / "media").mkdir(exist_ok=True)
    for row in media:
        if row["filePath"].startswith("media/"):
            (root / row["filePath"]).write_bytes(b"photo")


def _read(root: Path, **options: Any) -> Contents:
    tree = FileTree(root)
    assert CamtrapDp().recognises(tree, ReadOptions(**options))
    return CamtrapDp().contents(tree, ReadOptions(**options))


def _columns(contents: Contents, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(contents.rows[name].to_pylist() for name in names), strict=True))


def _said(contents: Contents, words: str) -> bool:
    return any(words in remark for remark in contents.remarks)


def test_animals_at_both_levels_count_once(tmp_path: Path) -> None:
    _package(
        tmp_path,
        [_media(0), _media(1)],
        [_of(0, "e1", **FOX), _of(1, "e1", **BLANK), _event("e1", 0, 1, **FOX)],
    )
    contents = _read(tmp_path)
    assert _columns(contents, "ref", "label", "group", "sequence", "row") == [
        ("media/0.jpg", "Vulpes vulpes", "L1", "e1", 1),
        ("media/1.jpg", "blank", "L1", "e1", 2),
    ]
    assert _said(contents, "1 observation of events not used")


@pytest.mark.parametrize("own", [(), (_of(1, "e1", observationType="unclassified"),)])
def test_an_event_labels_the_photos_taken_in_it_that_nobody_labelled(
    tmp_path: Path, own: Rows
) -> None:
    """Times with an offset are the same times; at another deployment nothing happened."""
    media = [
        _media(0),
        _media(1),
        _media(2),
        _media(3),
        _media(1, "d2", mediaID="x", filePath="media/x.jpg"),
    ]
    _package(tmp_path, media, [_event("e1", 1, 2, **FOX), *own])
    contents = _read(tmp_path)
    assert _columns(contents, "ref", "label", "group", "sequence") == [
        ("media/0.jpg", None, "L1", None),
        ("media/1.jpg", "Vulpes vulpes", "L1", "e1"),
        ("media/2.jpg", "Vulpes vulpes", "L1", "e1"),
        ("media/3.jpg", None, "L1", None),
        ("media/x.jpg", None, "lake", None),
    ]
    assert _said(contents, "2 photos labelled by the event in which they were taken")


def test_where_an_event_has_observed_photos_the_others_of_it_are_unlabelled(tmp_path: Path) -> None:
    _package(tmp_path, [_media(0), _media(1)], [_of(0, "e1", **FOX), _event("e1", 0, 5, **FOX)])
    assert _columns(_read(tmp_path), "label", "sequence") == [("Vulpes vulpes", "e1"), (None, "e1")]


def test_types_without_a_name_are_classes_or_unlabelled(tmp_path: Path) -> None:
    kinds = [
        {"observationType": "human", "scientificName": "Homo sapiens"},
        {"observationType": "vehicle"},
        {"observationType": "unknown"},
        {"observationType": "animal", "scientificName": "NaN"},
    ]
    _package(
        tmp_path,
        [_media(n) for n in range(4)],
        [_of(n, **kind) for n, kind in enumerate(kinds)],
    )
    contents = _read(tmp_path)
    assert contents.rows["label"].to_pylist() == ["human", "vehicle", None, None]
    assert _said(contents, "1 observation without a class (unknown 1)")
    assert _said(contents, "1 observation of animals without a name")


def test_boxes_that_reach_out_of_the_photo_are_cut(tmp_path: Path) -> None:
    box = {"bboxX": "0.5", "bboxY": 0, "bboxWidth": "0.75", "bboxHeight": 1}
    _package(
        tmp_path,
        [_media(0)],
        [_of(0, **FOX, **box), _of(0, **FOX, **box | {"bboxWidth": "NA"})],
    )
    assert _read(tmp_path).rows["box"].to_pylist() == [[0.5, 0, 0.5, 1], None]


def test_videos_and_missing_files_are_counted_by_class(tmp_path: Path) -> None:
    media = [
        _media(0),
        _media(1, fileMediatype="video/mp4", filePath="media/1.mp4"),
        _media(2, filePath="gone/2.jpg"),
    ]
    _package(tmp_path, media, [_of(n, **FOX) for n in range(3)])
    contents = _read(tmp_path)
    assert contents.rows["ref"].to_pylist() == ["media/0.jpg"]
    assert _said(
        contents, "1 of 3 media no photos (videos and other media) left out (first: media/1.mp4)"
    )
    assert _said(
        contents, "1 of 3 media without a file left out (first: gone/2.jpg), rows by class: Vulpes"
    )


def test_photos_of_the_web_are_found_by_their_file_names_or_ids(tmp_path: Path) -> None:
    media = [
        _media(0, filePath="https://x.org/0", fileName="fox.jpg"),
        _media(1, filePath="https://x.org/1", fileName="RCNX0001.JPG"),
        _media(2, filePath="https://x.org/2", fileName="RCNX0001.JPG"),
    ]
    _package(tmp_path, media, [_of(n, **FOX) for n in range(3)])
    for name in ("fox.jpg", "m2.jpg"):
        (tmp_path / "media" / name).write_bytes(b"photo")
    contents = _read(tmp_path)
    assert _columns(contents, "ref", "row") == [("media/fox.jpg", 1), ("media/m2.jpg", 3)]


def test_the_user_takes_english_names_or_another_column(tmp_path: Path) -> None:
    badger = {"observationType": "animal", "scientificName": "Meles meles"}
    _package(
        tmp_path,
        [_media(0), _media(1)],
        [_of(0, lifeStage="adult", **FOX), _of(1, lifeStage="juvenile", **badger)],
    )
    contents = _read(tmp_path, label_column="vernacularNames")
    assert contents.rows["label"].to_pylist() == ["red fox", "Meles meles"]
    assert _said(contents, "no English name of Meles meles")
    stages = _read(tmp_path, label_column="lifeStage").rows["label"].to_pylist()
    assert stages == ["adult", "juvenile"]
    with pytest.raises(UserError, match=r"dataset\.label_column = 'sex' is no column .*lifeStage"):
        _read(tmp_path, label_column="sex")


def test_tables_of_older_packages_and_missing_ones_are_refused(tmp_path: Path) -> None:
    _package(tmp_path, [_media(0)], [_of(0, **FOX)])
    _table(tmp_path / "media.csv", [{"_id": "m0", "deployment": "d1"}])
    with pytest.raises(
        UserError, match=r"media\.csv has no column mediaID.*convert older packages"
    ):
        _read(tmp_path)
    (tmp_path / "media.csv").unlink()
    with pytest.raises(UserError, match=r"datapackage\.json names media\.csv for its media"):
        _read(tmp_path)


def test_tables_without_a_descriptor_are_a_package_and_of_two_the_user_chooses(
    tmp_path: Path,
) -> None:
    _package(tmp_path / "a", [_media(0)], [_of(0, **FOX)])
    (tmp_path / "a" / "datapackage.json").unlink()
    assert _read(tmp_path).rows["ref"].to_pylist() == ["a/media/0.jpg"]
    _package(tmp_path / "b", [_media(1)], [_of(1, **FOX)])
    with pytest.raises(UserError, match=r"2 Camtrap DP packages: .* set dataset\.table"):
        _read(tmp_path)
    assert _read(tmp_path, table="b/datapackage.json").rows["ref"].to_pylist() == ["b/media/1.jpg"]
