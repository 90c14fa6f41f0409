from collections import Counter
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.layouts.class_folders import ClassFolders
from discl.parts.datasets.manifest.rows import Contents, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree

Folders = dict[str, int]  # folder -> number of photos in it


def _made(root: Path, folders: Folders) -> FileTree:
    for folder, count in folders.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root / folder / f"{folder.replace('/', '-').strip('.')}-{i}.jpg").write_bytes(b"x")
    return FileTree(root)


def _read(root: Path, folders: Folders, **options: object) -> Contents:
    tree = _made(root, folders)
    given = ReadOptions(**options)  # type: ignore[arg-type]
    assert ClassFolders().recognises(tree, given)
    return ClassFolders().contents(tree, given)


def _counts(contents: Contents, *columns: str) -> dict[object, int]:
    """How many rows have which values."""
    rows = [contents.rows[column].to_pylist() for column in columns]
    keys = rows[0] if len(columns) == 1 else zip(*rows, strict=True)
    return dict(Counter(keys))


SPLIT = {("train", "zebra"): 3, ("train", "lion"): 2, ("test", "zebra"): 1, ("test", "lion"): 1}


def _split(train: str, test: str) -> Folders:
    return {f"{train}/zebra": 3, f"{train}/lion": 2, f"{test}/zebra": 1, f"{test}/lion": 1}


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "test"),
        ("Training", "Testing"),
        ("train_images", "test_images"),
        ("training_set/training_set", "test_set/test_set"),
        ("archive/seg_train/seg_train", "archive/seg_test/seg_test"),
        ("dataset/train", "dataset/test"),
        ("photos/photos/train/images", "photos/photos/test/images"),
        ("images/train", "images/test"),
        ("TrainData", "TestData"),
        ("train2017", "test2017"),
        ("asl_train/asl_train", "asl_test/asl_test"),
    ],
)
def test_splits_are_found_by_their_names(tmp_path: Path, train: str, test: str) -> None:
    contents = _read(tmp_path, _split(train, test))
    assert _counts(contents, "split", "label") == SPLIT
    assert contents.remarks == ()
    assert any(decision.what == "splits" for decision in contents.decisions)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "dev", "val_images"])
def test_a_validation_split_has_many_names(tmp_path: Path, val: str) -> None:
    contents = _read(tmp_path, _split("train", val))
    assert set(contents.rows["split"].to_pylist()) == {"train", "val"}


def test_a_lone_split_is_all_there_is_and_said(tmp_path: Path) -> None:
    contents = _read(tmp_path, {"test/zebra": 2, "test/lion": 2})
    assert set(contents.rows["split"].to_pylist()) == {None}
    assert contents.decisions[0].choice == "test/ is the only folder and taken for all photos"


def test_a_class_above_its_splits(tmp_path: Path) -> None:
    folders = {"zebra/train": 3, "zebra/test": 1, "lion/train": 2, "lion/test": 1}
    assert _counts(_read(tmp_path, folders), "split", "label") == SPLIT


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (
            {"train": 4, "bus": 3, "car": 2, "plane": 2},
            {"train": 4, "bus": 3, "car": 2, "plane": 2},
        ),
        ({"train": 4, "test": 3, "car": 2}, {"train": 4, "test": 3, "car": 2}),
        (
            {"train/steam": 2, "train/diesel": 2, "bus/school": 3, "bus/city": 3, "car/van": 3},
            {"steam": 2, "diesel": 2, "school": 3, "city": 3, "van": 3},
        ),
        (
            {"train/train": 2, "train/bus": 2, "test/train": 1, "test/bus": 1},
            {"train": 3, "bus": 3},
        ),
    ],
)
def test_a_class_may_be_called_as_a_split(
    tmp_path: Path, folders: Folders, labels: dict[str, int]
) -> None:
    assert _counts(_read(tmp_path, folders), "label") == labels


def test_folders_of_photos_from_elsewhere(tmp_path: Path) -> None:
    folders = {
        **_split("train", "test"),
        **{f"{folder}/zebra": 1 for folder in ("ood/night", "ood/snow", "ood_fog", "sketch")},
    }
    contents = _read(tmp_path, folders, ood=("sketch",))
    splits = set(contents.rows["split"].to_pylist())
    assert splits == {"train", "test", "ood/night", "ood/snow", "ood/fog", "sketch"}


CAMERAS = {f"cam0{k}/{name}": 2 for k in (1, 2, 3) for name in ("zebra", "lion", "gnu")}


def test_cameras_above_the_classes_are_groups(tmp_path: Path) -> None:
    contents = _read(tmp_path, CAMERAS)
    assert _counts(contents, "label") == {"zebra": 6, "lion": 6, "gnu": 6}
    assert _counts(contents, "group") == {"cam01": 6, "cam02": 6, "cam03": 6}
    assert any(decision.what == "group" for decision in contents.decisions)


@pytest.mark.parametrize(
    ("folders", "labels", "groups"),
    [
        # photos that nobody has sorted yet
        (
            {"cam1": 5, "cam1/zebra": 2, "cam1/gnu": 1, "cam2": 4, "cam2/zebra": 2},
            {"zebra", "gnu"},
            {"cam1", "cam2"},
        ),
        # no word says that these are places
        ({"Mara/zebra": 2, "Mara/gnu": 2, "Tsavo/zebra": 2}, {"zebra", "gnu"}, {"Mara", "Tsavo"}),
        ({"day/zebra": 2, "day/gnu": 1, "night/zebra": 2}, {"zebra", "gnu"}, {"day", "night"}),
        (
            {"site1/camA/zebra": 1, "site1/camB/gnu": 1, "site2/camA/zebra": 1},
            {"zebra", "gnu"},
            {"site1/camA", "site1/camB", "site2/camA"},
        ),
        # cameras below the classes
        (
            {"zebra/cam1": 2, "zebra/cam2": 2, "gnu/cam1": 2},
            {"zebra", "gnu"},
            {"cam1", "cam2"},
        ),
        ({"zebra/site_7": 2, "zebra/site_8": 2, "gnu/site_9": 2, "gnu": 1}, {"zebra", "gnu"},
         {"site_7", "site_8", "site_9", None}),
        ({"writer1/0": 1, "writer1/1": 1, "writer2/0": 1}, {"0", "1"}, {"writer1", "writer2"}),
        # a taxonomy, and a class that recurs in it
        (
            {"Carnivora/Felidae/lion": 2, "Carnivora/Canidae/fox": 1, "Ungulata/Equidae/zebra": 2},
            {"lion", "fox", "zebra"},
            {None},
        ),
        (
            {"birds/eagle": 2, "birds/other": 1, "mammals/fox": 2, "mammals/other": 1,
             "mammals/lion": 1},
            {"eagle", "fox", "lion", "birds other", "mammals other"},
            {None},
        ),
    ],
)  # fmt: skip
def test_of_nested_folders_the_class_is_no_camera(
    tmp_path: Path, folders: Folders, labels: set[str], groups: set[str | None]
) -> None:
    contents = _read(tmp_path, folders)
    assert set(contents.rows["label"].to_pylist()) == labels
    assert set(contents.rows["group"].to_pylist()) == groups


@pytest.mark.parametrize(
    ("extra", "bursts"),
    [
        ({"zebra": 3, "zebra/extra": 2}, 0),
        ({"zebra/images": 5}, 0),
        ({"zebra/images": 4, "zebra/photos": 1}, 0),
        ({"zebra/burst_001": 3, "zebra/burst_002": 2, "lion/burst_003": 1}, 3),
        ({"zebra/2024-03-01": 3, "zebra/2024-03-02": 2, "lion/2024-03-02": 1}, 3),
        ({"zebra/1": 3, "zebra/2": 2, "lion/1": 1}, 3),
        ({"zebra/100RECNX": 3, "zebra/101RECNX": 2}, 2),
        ({"zebra/DCIM/100MEDIA": 5}, 1),
        ({"zebra/adult": 3, "zebra/young": 2, "lion/adult": 1}, 0),
        ({"zebra/zebra_01": 3, "zebra/zebra_02": 2, "lion/lion_01": 1}, 3),
    ],
)
def test_folders_in_a_class_folder_are_no_classes(
    tmp_path: Path, extra: Folders, bursts: int
) -> None:
    others = {} if "lion" in " ".join(extra) else {"lion": 2}
    contents = _read(tmp_path, {**extra, **others, "gnu": 1})
    assert set(contents.rows["label"].to_pylist()) == {"zebra", "lion", "gnu"}
    assert _counts(contents, "label")["zebra"] == 5
    assert len(set(contents.rows["sequence"].to_pylist()) - {None}) == bursts


def test_tiny_imagenets_folders(tmp_path: Path) -> None:
    folders = {"train/n01443537/images": 2, "train/n01629819/images": 2, "val/images": 3}
    contents = _read(tmp_path, folders)
    assert _counts(contents, "split", "label") == {
        ("train", "n01443537"): 2,
        ("train", "n01629819"): 2,
    }
    assert "3 picture(s) of val/images/ lie in no class folder" in contents.remarks[0]


def test_the_user_may_say_which_level_is_the_group(tmp_path: Path) -> None:
    folders = {"zebra/herd": 2, "zebra/alone": 2, "gnu/herd": 2, "gnu/alone": 1}
    below = _read(tmp_path, folders, group_level=2)
    assert _counts(below, "label", "group") == {
        ("zebra", "herd"): 2, ("zebra", "alone"): 2, ("gnu", "herd"): 2, ("gnu", "alone"): 1,
    }  # fmt: skip
    taxonomy = {"cats/lion": 2, "cats/serval": 2, "dogs/fox": 1}
    above = _read(tmp_path / "taxonomy", taxonomy, group_level=1)
    assert _counts(above, "label", "group") == {
        ("lion", "cats"): 2, ("serval", "cats"): 2, ("fox", "dogs"): 1,
    }  # fmt: skip
    with pytest.raises(UserError, match="group_level = 3: no photo of .* lies 3 folders deep"):
        _read(tmp_path / "taxonomy", taxonomy, group_level=3)


@pytest.mark.parametrize("folder", ["test", "test/images", "test/test", "test/unknown"])
def test_a_test_folder_without_classes_is_left_out_and_said(tmp_path: Path, folder: str) -> None:
    contents = _read(tmp_path, {"train/zebra": 2, "train/lion": 2, folder: 4})
    assert set(contents.rows["split"].to_pylist()) == {"train"}
    (remark,) = contents.remarks
    assert remark.startswith("4 picture(s) of test")
    assert "no class folder" in remark


def test_what_is_not_used_is_said(tmp_path: Path) -> None:
    folders = {**_split("train", "test"), ".": 1, "train": 2, "previews": 1, "train/gnu": 0}
    assert _read(tmp_path, folders).remarks == (
        "previews/ is no split and no class folder and is not used (1 picture(s))",
        "3 picture file(s) beside the class folders are not used: they have no class"
        " (train 2, the folder itself 1)",
        "1 class folder(s) without a photo (train/gnu)",
    )


def test_class_folders_that_are_there_twice_count_once(tmp_path: Path) -> None:
    for folder in ("daisy", "rose", "flowers/daisy", "flowers/rose"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "1.jpg").write_bytes(b"x")
    contents = ClassFolders().contents(FileTree(tmp_path), ReadOptions())
    assert contents.rows["ref"].to_pylist() == ["daisy/1.jpg", "rose/1.jpg"]
    assert "2 picture(s) of class folders that are there twice" in contents.remarks[0]


@pytest.mark.parametrize(
    ("folders", "problem"),
    [
        ({"zebra": 3}, "one class only, zebra"),
        ({"train/zebra": 3, "test/zebra": 1}, "one class only, zebra"),
        ({"train": 3, "test": 2}, "test/, train/: the photos lie in no class folders"),
        ({"train/images": 3, "val/images": 2}, "the photos lie in no class folders"),
        ({"images": 3}, "no picture lies in a class folder"),
        ({"cam1": 3, "cam2": 2}, "names of cameras"),
        ({"val/zebra": 3, "val/gnu": 1, "test/zebra": 2}, "none of these folders is called train"),
    ],
)
def test_folders_without_two_classes_are_refused(
    tmp_path: Path, folders: Folders, problem: str
) -> None:
    with pytest.raises(UserError, match=problem):
        _read(tmp_path, folders)


def test_a_class_name_in_another_encoding_is_read(tmp_path: Path) -> None:
    tree = _made(tmp_path, {"zebra": 1})
    folder = bytes(tmp_path) + b"/L\xf6we"
    Path(folder.decode("utf-8", "surrogateescape")).mkdir()
    Path((folder + b"/1.jpg").decode("utf-8", "surrogateescape")).write_bytes(b"x")
    contents = ClassFolders().contents(tree, ReadOptions())
    assert _counts(contents, "ref", "label") == {
        ("L\\xf6we/1.jpg", "Löwe"): 1,
        ("zebra/zebra-0.jpg", "zebra"): 1,
    }


def test_a_folder_with_a_list_of_its_own_is_no_matter_of_folders(tmp_path: Path) -> None:
    tree = _made(tmp_path, {".": 2})
    assert not ClassFolders().recognises(tree, ReadOptions())
    assert not ClassFolders().recognises(
        _made(tmp_path / "x", {"a": 1}), ReadOptions(table="a.csv")
    )
