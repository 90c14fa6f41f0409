"""COCO files: camera traps of LILA, iWildCam and iNaturalist, exports of labelling tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.folder import Folder
from discl.parts.datasets.manifest.layouts.coco_camera_traps import CocoJson
from discl.parts.datasets.manifest.rows import Contents, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree

NAMES = ({"id": 0, "name": "empty"}, {"id": 1, "name": "zebra"}, {"id": 2, "name": " lion "})


def _photos(root: Path, *refs: str) -> None:
    for ref in refs:
        (root / ref).parent.mkdir(parents=True, exist_ok=True)
        (root / ref).write_bytes(b"photo")


def _json(
    path: Path,
    images: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]] | None = None,
    categories: Sequence[Mapping[str, Any]] = NAMES,
) -> None:
    """Writes a COCO file; without annotations, the n-th image is a zebra."""
    if annotations is None:
        annotations = [
            {"id": n, "image_id": one["id"], "category_id": 1} for n, one in enumerate(images)
        ]
    content = {"info": {"year": "2020"}, "images": images, "annotations": annotations}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**content, "categories": categories}))


def _read(root: Path, **options: Any) -> Contents:
    tree = FileTree(root)
    assert CocoJson().recognises(tree, ReadOptions(**options))
    return CocoJson().contents(tree, ReadOptions(**options))


def _columns(contents: Contents, *names: str) -> list[tuple[Any, ...]]:
    return list(zip(*(contents.rows[name].to_pylist() for name in names), strict=True))


def _said(contents: Contents, words: str) -> bool:
    return any(words in remark for remark in contents.remarks)


def test_a_camera_trap_file_gives_classes_places_and_sequences(tmp_path: Path) -> None:
    _photos(tmp_path, "images/S1/1.jpg", "images/S1/2.jpg", "images/S2/3.jpg")
    images = [
        {"id": "a", "file_name": "S1/1.jpg", "location": "S1", "seq_id": "q1", "frame_num": 0},
        {"id": "b", "file_name": "S1/2.jpg", "location": "S1", "seq_id": "q1", "frame_num": 1},
        {"id": "c", "file_name": "S2/3.jpg", "location": "S2", "seq_id": "q2", "frame_num": 0},
    ]
    annotations = [
        {"id": "x", "image_id": "a", "category_id": 1, "sequence_level_annotation": True},
        {"id": "y", "image_id": "b", "category_id": 0},
        {"id": "z", "image_id": "a", "category_id": 2},
    ]
    _json(tmp_path / "my_set.json", images, annotations)
    contents = _read(tmp_path)
    assert _columns(contents, "ref", "label", "group", "sequence", "row") == [
        ("images/S1/1.jpg", "zebra", "S1", "q1", 1),
        ("images/S1/1.jpg", "lion", "S1", "q1", 1),
        ("images/S1/2.jpg", "empty", "S1", "q1", 2),
        ("images/S2/3.jpg", None, "S2", "q2", 3),
    ]
    assert contents.names == ("empty", "zebra", "lion")
    assert set(contents.rows["source"].to_pylist()) == {"my_set.json"}
    assert _said(contents, "1 of 3 annotations are of whole sequences")
    assert _said(contents, "1 image of 3 without an annotation, taken as unlabelled")
    assert _said(contents, "no animals are kept: empty (1); dataset.drop_classes")


def test_numbers_and_text_are_the_same_ids(tmp_path: Path) -> None:
    """Places and ids are numbers in older sets; some tools write ids of categories as text."""
    _photos(tmp_path, "1.jpg", "2.jpg")
    images = [
        {"id": 7, "file_name": "1.jpg", "location": 3, "seq_id": 12345678901234567890123},
        {"id": "8", "file_name": "2.jpg", "location": "03", "seq_id": "12345678901234567890124"},
    ]
    annotations = [{"image_id": "7", "category_id": "1"}, {"image_id": 8, "category_id": 2.0}]
    _json(tmp_path / "a.json", images, annotations)
    assert _columns(_read(tmp_path), "label", "group", "sequence") == [
        ("zebra", "3", "12345678901234567890123"),
        ("lion", "03", "12345678901234567890124"),
    ]


def test_sequences_that_begin_anew_at_each_place_are_told_apart(tmp_path: Path) -> None:
    _photos(tmp_path, *(f"{n}.jpg" for n in range(4)))
    images = [
        {"id": n, "file_name": f"{n}.jpg", "location": "AB"[n // 2], "seq_id": n % 2}
        for n in range(4)
    ]
    _json(tmp_path / "a.json", images)
    contents = _read(tmp_path)
    assert contents.rows["sequence"].to_pylist() == ["A/0", "A/1", "B/0", "B/1"]
    assert _said(contents, "seq_id begins anew at other places")


def test_rows_whose_photos_are_missing_are_counted_by_class(tmp_path: Path) -> None:
    _photos(tmp_path, "0.jpg")
    _json(tmp_path / "a.json", [{"id": n, "file_name": f"{n}.jpg"} for n in range(3)])
    contents = _read(tmp_path)
    assert contents.rows["ref"].to_pylist() == ["0.jpg"]
    assert _said(
        contents,
        "2 images of 3 without a file in the folder left out (first: 1.jpg), rows by class:"
        " zebra 2",
    )


def test_boxes_become_shares_of_the_photo(tmp_path: Path) -> None:
    _photos(tmp_path, *(f"{n}.jpg" for n in range(7)))
    size = {"width": 200, "height": 100}
    images = [{"id": n, "file_name": f"{n}.jpg", **(size if n != 5 else {})} for n in range(7)]
    boxes: list[Mapping[str, Any]] = [
        {"bbox": [50, 25, 100, 50]},
        {"bbox": [150, 0, 60, 100, 0.9]},  # beyond the edge; some write more than four numbers
        {"bbox": [190, 0, 200, 100]},  # most of it lies outside
        {"bbox": [0, 0, 1e500, 1]},
        {"bbox": [1, 2, 3]},
        {"bbox": [50, 25, 100, 50]},  # of a photo of unknown size
        {"bbox": [1, 1, 1, 1], "bbox_relative": [0.5, 0, 0.5, 1]},
    ]
    annotations = [{"image_id": n, "category_id": 1, **box} for n, box in enumerate(boxes)]
    _json(tmp_path / "a.json", images, annotations)
    contents = _read(tmp_path)
    found = contents.rows["box"].to_pylist()
    assert found == [
        [0.25, 0.25, 0.5, 0.5],
        [0.75, 0, 0.25, 1],
        None,
        None,
        None,
        None,
        [0.5, 0, 0.5, 1],
    ]
    assert _said(contents, "1 box beyond the edge of the photo, cut at it")
    assert _said(contents, "3 boxes outside the photo or of no size, not used (first: annotation 3")
    assert _said(contents, "1 box not used: their images have no width and height")


def test_boxes_that_are_shares_already_stay_as_they_are(tmp_path: Path) -> None:
    _photos(tmp_path, "0.jpg")
    images = [{"id": 0, "file_name": "0.jpg", "width": 200, "height": 100}]
    _json(
        tmp_path / "a.json", images, [{"image_id": 0, "category_id": 1, "bbox": [0.5, 0, 0.5, 1]}]
    )
    assert _read(tmp_path).rows["box"].to_pylist() == [[0.5, 0, 0.5, 1]]


@pytest.mark.parametrize(
    "names",
    [
        (
            "train/_annotations.coco.json",
            "valid/_annotations.coco.json",
            "test/_annotations.coco.json",
        ),
        ("instances_train2017.json", "instances_val2017.json", "image_info_test2017.json"),
        ("labels/train.json", "labels/val.json", "labels/test.json"),
    ],
)
def test_files_for_each_split_say_so_by_name_or_folder(
    tmp_path: Path, names: Sequence[str]
) -> None:
    """As Roboflow, COCO and iNaturalist write them; `test` has no annotations."""
    for name, folder in zip(names, ("train", "valid", "test"), strict=True):
        _photos(tmp_path, f"{folder}/{folder}1.jpg")
        images = [{"id": 1, "file_name": f"{folder}1.jpg"}]
        _json(tmp_path / name, images, [] if folder == "test" else None)
    contents = _read(tmp_path)
    assert sorted(_columns(contents, "split", "ref", "label"), key=str) == [
        ("test", "test/test1.jpg", None),
        ("train", "train/train1.jpg", "zebra"),
        ("val", "valid/valid1.jpg", "zebra"),
    ]


def test_one_file_for_all_splits_takes_them_from_the_folders_of_photos(tmp_path: Path) -> None:
    _photos(tmp_path, "train/1.jpg", "val/2.jpg")
    _json(tmp_path / "a.json", [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2)])
    assert _columns(_read(tmp_path), "ref", "split") == [
        ("train/1.jpg", "train"),
        ("val/2.jpg", "val"),
    ]


def test_a_file_of_places_gives_their_splits(tmp_path: Path) -> None:
    """As LILA publishes them beside Caltech Camera Traps and Snapshot Serengeti."""
    _photos(tmp_path, "0.jpg", "1.jpg", "2.jpg")
    images = [{"id": n, "file_name": f"{n}.jpg", "location": str(n)} for n in range(3)]
    _json(tmp_path / "a.json", images)
    splits = {"train": ["0"], "val": [1]}
    (tmp_path / "a_splits.json").write_text(json.dumps({"info": {}, "splits": splits}))
    contents = _read(tmp_path)
    assert contents.rows["split"].to_pylist() == ["train", "val", None]
    assert _said(contents, "no split of 2 in a_splits.json")


def test_of_several_files_the_user_chooses(tmp_path: Path) -> None:
    _photos(tmp_path, "0.jpg")
    _json(tmp_path / "images_2020.json", [{"id": 0, "file_name": "0.jpg"}])
    _json(
        tmp_path / "boxes_2021.json",
        [{"id": 0, "file_name": "0.jpg"}],
        categories=[{"id": 1, "name": "cat"}],
    )
    with pytest.raises(UserError, match=r"boxes_2021\.json, images_2020\.json; set dataset\.table"):
        _read(tmp_path)
    assert _read(tmp_path, table="boxes_2021.json").rows["label"].to_pylist() == ["cat"]
    assert sorted(_read(tmp_path, table="*.json").rows["label"].to_pylist()) == ["cat", "zebra"]


def test_the_user_names_the_fields(tmp_path: Path) -> None:
    _photos(tmp_path, "0.jpg")
    image = {
        "id": 0,
        "uri": "0.jpg",
        "file_name": "?",
        "site": "N",
        "location": "S",
        "text": "dusk",
    }
    species = [{"id": 1, "name": "Equus quagga", "common_name": "plains zebra"}]
    _json(tmp_path / "a.json", [image], categories=species)
    contents = _read(tmp_path, image_column="uri", label_column="common_name", group_column="site")
    assert _columns(contents, "ref", "label", "group", "caption") == [
        ("0.jpg", "plains zebra", "N", "dusk")
    ]
    with pytest.raises(
        UserError, match=r"dataset\.group_column = 'camera' is no field of the images .*site"
    ):
        _read(tmp_path, group_column="camera")
    with pytest.raises(
        UserError, match=r"dataset\.label_column = 'genus' is no field .*common_name"
    ):
        _read(tmp_path, label_column="genus")


IMAGES = ({"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "2.jpg"})


@pytest.mark.parametrize(
    ("images", "annotations", "categories", "message"),
    [
        (IMAGES, [{"image_id": 1, "category_id": 9}], NAMES,
         r"1 annotation of a\.json with a category that it does not list: number 1 has .*_id 9"),
        (IMAGES, [{"image_id": 1, "category_id": 1}], [], r"1 annotations, but no categories"),
        (IMAGES, None, [{"id": 1, "name": "x"}, {"id": 1, "name": "y"}],
         r"two categories with id 1, 'x'"),
        (IMAGES, None, [{"id": 1, "name": " "}], r"category 1 of a\.json has no name"),
        (IMAGES, None, [{"name": "x"}], r"category 1 of a\.json has no id"),
        (({"id": 1, "file_name": "1.jpg"}, {"id": "1", "file_name": "2.jpg"}), None, NAMES,
         r"images 1 and 2 of a\.json have one id, '1', but are 1\.jpg and 2\.jpg"),
        ([], [], NAMES, r"a\.json lists no image"),
        (({"id": 1, "url": "1.jpg"},), None, NAMES,
         r"have no file_name; set dataset\.image_column"),
        (({"id": 1, "file_name": "9.jpg"},), None, NAMES,
         r"none of the images that a\.json lists lies in"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_with_their_place(
    tmp_path: Path, images: Any, annotations: Any, categories: Any, message: str
) -> None:
    _photos(tmp_path, "1.jpg", "2.jpg")
    _json(tmp_path / "a.json", images, annotations, categories)
    with pytest.raises(UserError, match=message):
        _read(tmp_path)


def test_oddities_are_told_and_go_on(tmp_path: Path) -> None:
    _photos(tmp_path, "1.jpg", "2.jpg")
    images = [*IMAGES, dict(IMAGES[0])]
    annotations = [
        {"image_id": 1, "category_id": 1},
        {"image_id": 2, "category_id": 3},
        {"image_id": 5, "category_id": 1},
        {"image_id": 2, "category_id": None},
    ]
    _json(tmp_path / "a.json", images, annotations, [*NAMES, {"id": 3, "name": "zebra "}])
    contents = _read(tmp_path)
    assert _columns(contents, "ref", "label") == [
        ("1.jpg", "zebra"),
        ("2.jpg", "zebra"),
        ("2.jpg", None),
    ]
    assert _said(
        contents,
        "1 annotation of images that it does not list are left out (first: number 3, of image 5)",
    )
    assert _said(contents, "categories 1, 3 are all called zebra: one class")
    assert _said(contents, "1 annotation without a category, taken as unlabelled")
    assert _said(contents, "1 image listed again, counted once")


@pytest.mark.parametrize(
    "content",
    [
        {
            "images": [{"file": "1.jpg", "detections": []}],
            "detection_categories": {},
        },  # a detector's
        {"images": [{"id": "1", "detections": []}]},  # iWildCam 2020's
        {"images": [{"file": "1.jpg", "failure": "cannot be read"}]},
        {"1.jpg": "zebra"},
        {"images": ["1.jpg"]},
        {"version": "5", "shapes": [], "imagePath": "1.jpg"},  # one file a photo
    ],
)
def test_other_json_files_are_left_to_other_layouts(tmp_path: Path, content: Any) -> None:
    _photos(tmp_path, "1.jpg")
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert not CocoJson().recognises(FileTree(tmp_path), ReadOptions())


def test_cameras_that_training_never_saw_are_held_out_whole(tmp_path: Path) -> None:
    """The data part of going from a LILA JSON to a table with unseen cameras."""
    images = [
        {
            "id": str(n),
            "file_name": f"S{n % 4}/{n}.jpg",
            "location": f"S{n % 4}",
            "seq_id": f"q{n % 4}-{n // 8}",
        }
        for n in range(96)
    ]
    annotations = [{"image_id": str(n), "category_id": 1 + n // 8 % 2} for n in range(96)]
    for image in images:
        _photos(tmp_path, f"photos/{image['file_name']}")
        (tmp_path / "photos" / image["file_name"]).write_bytes(image["id"].encode())
    _json(tmp_path / "metadata" / "set.json", images, annotations)
    folder = Folder(root=str(tmp_path), ood_groups=["S2"])
    refs = {split: set(folder.listing(split).refs.tolist()) for split in folder.splits}
    assert set(refs) == {"train", "val", "test", "ood/unseen"}
    assert refs["ood/unseen"] == {f"photos/S2/{n}.jpg" for n in range(2, 96, 4)}
    sequence = {f"photos/{image['file_name']}": image["seq_id"] for image in images}
    of_split = [{sequence[ref] for ref in listed} for listed in refs.values()]
    assert sum(map(len, of_split)) == len(set().union(*of_split)) == 48
    assert folder.classes == ("zebra", "lion")
