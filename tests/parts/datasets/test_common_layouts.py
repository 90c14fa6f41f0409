"""Folders as people download them: what is read of each, or the way out that is said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.folder import Folder

Counts = dict[tuple[str, str], int]  # (split, class) -> photos


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def made(root: Path, photos: Sequence[str], **files: str) -> Path:
    """A folder with photos, all different, and files; `a_in_b__csv` is a/b.csv."""
    for number, photo in enumerate(photos):
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(b"\xff\xd8\xff photo %d" % number)
    for name, text in files.items():
        path = root / name.replace("__", ".").replace("_in_", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def counts(root: Path, **settings: object) -> Counts:
    rows = Folder(root=str(root), **settings).manifest.rows  # type: ignore[arg-type]
    return dict(Counter(zip(rows["split"].to_pylist(), rows["label"].to_pylist(), strict=True)))


def labels(root: Path, **settings: object) -> dict[str, int]:
    rows = Folder(root=str(root), **settings).manifest.rows  # type: ignore[arg-type]
    return dict(Counter(rows["label"].to_pylist()))


def told(root: Path, **settings: object) -> str:
    folder = Folder(root=str(root), **settings)  # type: ignore[arg-type]
    return "\n".join([*folder.remarks(), *map(str, folder.decisions)])


TRAIN = tuple(f"train/{name}/{i}.jpg" for name in ("cat", "dog") for i in range(5))
TEST = tuple(f"test/{i}.jpg" for i in range(4))
OF_TEST = "".join(f"{i}.jpg,{('cat', 'dog')[i % 2]}\n" for i in range(4))
BOTH = {("test", "cat"): 2, ("test", "dog"): 2}


@pytest.mark.parametrize(
    "files",
    [
        {"test_labels__csv": "file,label\n" + OF_TEST},
        {"test_in_labels__csv": "file,label\n" + OF_TEST},
        {"test_in_annotations__txt": OF_TEST.replace(",", "\t").replace("\n", "\t0\t9\n")},
        {"test__txt": OF_TEST.replace(",", " ")},
    ],
)
def test_a_list_of_one_split_goes_with_the_class_folders_of_the_others(
    tmp_path: Path, files: dict[str, str]
) -> None:
    found = counts(made(tmp_path / "a", [*TRAIN, *TEST], **files))
    assert {key: found[key] for key in BOTH} == BOTH
    assert found["train", "cat"] + found["val", "cat"] == 5


def test_a_list_of_train_goes_with_the_class_folders_of_test(tmp_path: Path) -> None:
    photos = [f"train/{i}.jpg" for i in range(8)]
    photos += [f"test/{name}/{i}.jpg" for name in ("cat", "dog") for i in range(2)]
    rows = "".join(f"{i}.jpg,{('cat', 'dog')[i % 2]}\n" for i in range(8))
    found = counts(made(tmp_path / "a", photos, train__csv="file,label\n" + rows))
    assert {key: found[key] for key in BOTH} == BOTH


def test_photos_that_the_only_list_does_not_name_are_train(tmp_path: Path) -> None:
    photos = [f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(6)]
    val = "".join(f"{name}/{i}.jpg\n" for name in ("cat", "dog") for i in range(2))
    found = counts(made(tmp_path / "a", photos, val__txt=val))
    assert found["val", "cat"] == 2
    assert found["train", "cat"] + found["test", "cat"] == 4


def test_numbers_of_a_list_that_are_no_names_of_folders_are_refused(tmp_path: Path) -> None:
    val = "".join(f"test/{i}.jpg {i % 2}\n" for i in range(4))
    root = made(tmp_path / "a", [*TRAIN, *TEST], test__txt=val)
    with pytest.raises(
        UserError, match=r"the classes 0, 1, and the folders .* cat, dog; .*classes"
    ):
        counts(root)
    (root / "classes.txt").write_text("cat\ndog\n")
    found = counts(root)
    assert {key: found[key] for key in BOTH} == BOTH


FLAT = [f"images/{i}.jpg" for i in range(9)]
ROWS = "".join(f"{i}.jpg,{('gnu', 'ape', 'elk')[i % 3]}\n" for i in range(9))
THREE = {"gnu": 3, "ape": 3, "elk": 3}


@pytest.mark.parametrize(
    "files",
    [
        {"labels__csv": "image,choice,id\n" + ROWS.replace(".jpg,", ".jpg,").replace("\n", ",1\n")},
        {"labels__csv": "image,choice\n" + "".join(
            f"/data/upload/1/0a1b2c3d-{row}\n" for row in ROWS.split()
        )},
        {"labels__csv": "image,choice\n" + "".join(
            f"/data/local-files/?d=images/{row}\n" for row in ROWS.split()
        )},
        {"labels__csv": "".join(f"gs://bucket/images/{row}\n" for row in ROWS.split())},
        {"labels__csv": "file,label\n" + "".join(
            f"C:\\\\a\\\\images\\\\{row}\n" for row in ROWS.split()
        )},
        {"labels__json": json.dumps(
            {"classes": ["gnu", "ape", "elk"], "labels": {str(i): i % 3 for i in range(9)}}
        )},
        {"a__csv": "id,class,order,family,genus,species,common_name\n" + "".join(
            f"{i},Mammalia,A{i % 2},B{i % 2},C,v,{('gnu', 'ape', 'elk')[i % 3]}\n" for i in range(9)
        )},
        {"a__csv": "ImageId,PredictionString\n" + "".join(
            f"{i},{('gnu', 'ape', 'elk')[i % 3]} 1 2 3 4 {('gnu', 'ape', 'elk')[i % 3]} 0 0 7 8\n"
            for i in range(9)
        )},
        {"a__csv": "path,y\n" + "".join(f"images/{i}.jpg,{i % 3}\n" for i in range(9)),
         "label_num_to_animal_map__json": json.dumps({"0": "gnu", "1": "ape", "2": "elk"})},
        {"a__csv": "path,y\n" + "".join(f"images/{i}.jpg,{i % 3}\n" for i in range(9)),
         "categories_zoo__txt": "/g/gnu 0\n/a/ape 1\n/e/elk 2\n"},
    ],
)  # fmt: skip
def test_lists_of_tools_and_archives_give_the_classes(
    tmp_path: Path, files: dict[str, str]
) -> None:
    assert labels(made(tmp_path / "a", FLAT, **files)) == THREE


def test_a_column_with_the_folder_tells_photos_of_one_name_apart(tmp_path: Path) -> None:
    photos = [f"S{s}/c1/IMG{i}.JPG" for s in (1, 2) for i in range(4)]
    rows = [f"IMG{i}.JPG,S{s}\\c1,{('fox', 'elk')[s - 1]}\n" for s in (1, 2) for i in range(4)]
    root = made(tmp_path / "a", photos, data__csv="File,RelativePath,Species\n" + "".join(rows))
    refs = Folder(root=str(root)).manifest.rows.select(["ref", "label"]).to_pylist()
    assert {(row["ref"][:2], row["label"]) for row in refs} == {("S1", "fox"), ("S2", "elk")}


def test_addresses_of_photos_are_no_cameras(tmp_path: Path) -> None:
    rows = "".join(f"{i}.jpg,gs://b/{i}/x.jpg,d{i % 3},{'ab'[i % 2]}\n" for i in range(9))
    files = {"a__csv": "filename,location,deployment_id,label\n" + rows}
    assert Folder(root=str(made(tmp_path / "a", FLAT, **files))).group_names == ("d0", "d1", "d2")


@pytest.mark.parametrize(
    ("values", "found"),
    [("0001120", {"train", "val", "test"}), ("0123401", {"train", "val", "test"})],
)
def test_splits_written_as_0_1_and_2_are_read(tmp_path: Path, values: str, found: set[str]) -> None:
    values = (values * 9)[:18]
    photos = [f"{i}.jpg" for i in range(18)]
    rows = "".join(f"{i}.jpg,{'ab'[i // 9]},{values[i]}\n" for i in range(18))
    root = made(tmp_path / "a", photos, a__csv="path,label,split\n" + rows)
    folder = Folder(root=str(root))
    assert set(folder.manifest.rows["split"].to_pylist()) == found
    assert ("is not used" in told(root)) == ("4" in values)


def test_splits_of_another_list_are_read(tmp_path: Path) -> None:
    split = "image_id,partition\n" + "".join(f"{i}.jpg,{(0, 0, 1, 0, 0, 2)[i // 3]}\n"
                                             for i in range(18))  # fmt: skip
    rows = "image_id,label\n" + "".join(f"{i}.jpg,{'aeu'[i % 3]}\n" for i in range(18))
    root = made(tmp_path / "a", [f"{i}.jpg" for i in range(18)], a__csv=rows, b__csv=split)
    assert counts(root) == {
        (name, label): count
        for name, count in (("train", 4), ("val", 1), ("test", 1))
        for label in "aeu"
    }


def test_lines_that_are_numbered_give_no_classes(tmp_path: Path) -> None:
    lines = "".join(f"{photo.removesuffix('.jpg')} {n}\n" for n, photo in enumerate(TRAIN, 1))
    assert labels(made(tmp_path / "a", TRAIN, train__txt=lines)) == {"cat": 5, "dog": 5}


def test_several_cuts_of_one_set_are_asked_for(tmp_path: Path) -> None:
    lists = {f"{split}{n}__txt": "".join(f"{photo}\n" for photo in TRAIN[k : k + 7 : 3])
             for n in (1, 2) for k, split in enumerate(("train", "val", "test"))}  # fmt: skip
    lists["all__txt"] = "".join(f"{photo} {photo[6:9]}\n" for photo in TRAIN)
    with pytest.raises(UserError, match=r"all list photos .*; set dataset.table to the one"):
        counts(made(tmp_path / "a", TRAIN, **lists))


NAMED = [f"{name}.{i}.jpg" for name in ("cat", "guinea pig") for i in range(5)]


def test_names_of_photos_give_classes_by_a_pattern_that_is_offered(tmp_path: Path) -> None:
    root = made(tmp_path / "a", [*NAMED, "cover.jpg"])
    with pytest.raises(UserError, match=r"cat, guinea pig\): dataset.name_pattern = '\{label\}\."):
        labels(root)
    pattern = "{label}.{number}"
    assert labels(root, name_pattern=pattern) == {"cat": 5, "guinea pig": 5}
    assert "1 photo not used, as dataset.name_pattern" in told(root, name_pattern=pattern)


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("{number}", r"takes a pattern with \{label\} once"),
        ("{label}*", r"nothing divides \{label\}\*; write the sign between"),
        ("{label}-{number}", r"fits no photo of .*cat\.0\.jpg"),
    ],
)
def test_patterns_that_cannot_be_are_refused(tmp_path: Path, pattern: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        labels(made(tmp_path / "a", NAMED), name_pattern=pattern)


def test_names_of_cameras_files_offer_no_classes(tmp_path: Path) -> None:
    root = made(tmp_path / "a", [f"{name}_{i}.jpg" for name in ("IMG", "DSC") for i in range(5)])
    with pytest.raises(UserError, match="in no folder of a class") as error:
        labels(root)
    assert "name_pattern" not in str(error.value)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"train__tar": "x"}, r"train\.tar is not read: unpack"),
        ({"labels__sqlite3": "x"}, r"labels\.sqlite3 is no list: export its table as CSV"),
        ({"labels__mat": "x"}, r"labels\.mat is not read: write what it says as CSV"),
        ({f"labels_in_{i}__txt": "0 0.5 0.5 0.1 0.1\n" for i in range(9)}, "boxes of YOLO"),
        ({"annotations__xml": "<annotations></annotations>"}, "annotations of CVAT"),
        ({"a__csv": 'id,subject\n77,"{""a"": 1}"\n'}, r"subject hold\(s\) JSON, as exports of Zoo"),
    ],
)  # fmt: skip
def test_what_lies_there_and_is_not_read_is_named(
    tmp_path: Path, files: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        labels(made(tmp_path / "a", FLAT, **files))


@pytest.mark.parametrize("names", [("2021-05-01", "2021-05-02"), ("100RECNX", "101RECNX"),
                                   ("part1", "part2")])  # fmt: skip
def test_days_and_parts_are_no_classes(tmp_path: Path, names: tuple[str, str]) -> None:
    photos = [f"{name}/{name}{i}.jpg" for name in names for i in range(4)]
    with pytest.raises(UserError, match=f"is sorted by {names[0]}, {names[1]}, .* no classes"):
        labels(made(tmp_path / "a", photos))


def test_the_card_of_a_hub_dataset_says_the_splits_of_its_files(tmp_path: Path) -> None:
    card = (
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n    path: a.csv\n"
    )
    card += "  - split: test\n    path:\n    - b*.csv\n---\n# text\n"
    head = "file_name,label\n"
    rows = "".join(f"images/{i}.jpg,{'uv'[i % 2]}\n" for i in range(6))
    rest = "".join(f"images/{i}.jpg,{'uv'[i % 2]}\n" for i in range(6, 9))
    root = made(tmp_path / "a", FLAT, README__md=card, a__csv=head + rows, b1__csv=head + rest)
    assert counts(root)["test", "u"] == 2
    (root / "README.md").write_text(card.replace("- config_name: default", "- config_name: x\n"
        "  data_files: a.csv\n- config_name: y"))  # fmt: skip
    with pytest.raises(UserError, match=r"README.md of .* several configurations \(x, y\); set"):
        counts(root)


def test_train_without_a_class_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"{i}.jpg,{'' if i < 6 else 'ab'[i % 2]},{'train' if i < 6 else 'test'}\n"
                   for i in range(9))  # fmt: skip
    with pytest.raises(UserError, match=r"no photo of train has a class \(6 without one; test"):
        labels(made(tmp_path / "a", FLAT, a__csv="file,label,split\n" + rows))


def test_a_photo_that_was_empty_is_found_once_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discl.parts.datasets.manifest.store.SETTLED_NS", -(10**12))
    root = made(tmp_path / "a", TRAIN)
    (root / "train/cat/late.jpg").write_bytes(b"")
    assert labels(root) == {"cat": 5, "dog": 5}
    (root / "train/cat/late.jpg").write_bytes(b"\xff\xd8\xff late")
    assert labels(root) == {"cat": 6, "dog": 5}


def test_a_table_with_a_column_in_common_gives_the_classes(tmp_path: Path) -> None:
    media = "file,burst,place\n" + "".join(f"{i}.jpg,s{i // 3},here\n" for i in range(9))
    seen = "burst,place,q__species\ns0,here,gnu\ns1,here,ape\ns2,here,elk\ns2,here,elk\n"
    root = made(tmp_path / "a", FLAT, media__csv=media, seen__csv=seen)
    assert labels(root, split_by="photo") == THREE
    assert "seen.csv" in told(root, split_by="photo")
    assert "seen.csv is not used" not in told(root, split_by="photo")


@pytest.mark.parametrize(
    "content",
    [
        {"train": [[f"{i}.jpg", i % 3, ("gnu", "ape", "elk")[i % 3]] for i in range(9)]},
        {"info": {}, "images": [{"name": f"{i}.jpg", "class": ("gnu", "ape", "elk")[i % 3]}
                                for i in range(9)]},
    ],
)  # fmt: skip
def test_json_with_arrays_of_photos_is_read(tmp_path: Path, content: object) -> None:
    assert labels(made(tmp_path / "a", FLAT, a__json=json.dumps(content))) == THREE


def test_files_that_name_photos_and_are_not_read_are_told(tmp_path: Path) -> None:
    lines = "id class path\n" + "".join(f"{i} {i % 2} {i}.jpg\n" for i in range(5))
    root = made(tmp_path / "a", TRAIN, a__lst=lines, b__txt=lines)
    assert "a.lst, b.txt name photos and are not read" in told(root).replace("b.txt, a.lst", (
        "a.lst, b.txt"))  # fmt: skip


@pytest.mark.parametrize(
    "names", [("1_train", "2_val", "3_test"), ("treino", "validação", "teste")]
)
def test_splits_with_numbers_and_in_other_languages_are_splits(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    photos = [f"{name}/{label}/{i}.jpg" for name in names for label in ("a", "b") for i in range(2)]
    found = counts(made(tmp_path / "a", photos))
    assert found == {(name, label): 2 for name in ("train", "val", "test") for label in ("a", "b")}


def test_patients_of_numbers_are_groups_of_the_classes_below(tmp_path: Path) -> None:
    patients = [f"{patient}/{label}/{patient}" for patient in (153, 154, 155) for label in (0, 1)]
    photos = [f"{start}{i}.jpg" for start in patients for i in range(3)]
    folder = Folder(root=str(made(tmp_path / "a", photos)))
    assert folder.classes == ("0", "1")
    assert folder.group_names == ("153", "154", "155")


def test_folders_called_as_copies_are_told(tmp_path: Path) -> None:
    photos = [f"{name}/{i}.jpg" for name in ("cat", "cat - Copy", "dog") for i in range(3)]
    assert "cat - Copy: class folder(s) called as copies" in told(made(tmp_path / "a", photos))
