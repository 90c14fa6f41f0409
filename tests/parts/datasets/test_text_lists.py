"""Text lists of splits, and the lists of CUB."""

from __future__ import annotations

from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.layouts.cub import CubLists
from discl.parts.datasets.manifest.layouts.text_lists import TextLists
from discl.parts.datasets.manifest.rows import Contents, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree

PHOTOS = ("images/red fox/x 1.jpg", "images/red fox/x2.jpg", "images/gnu/y1.jpg")


def folder(root: Path, **lists: str) -> Path:
    for photo in PHOTOS:
        (root / photo).parent.mkdir(parents=True, exist_ok=True)
        (root / photo).write_bytes(b"a photo")
    for name, text in lists.items():
        (root / f"{name}.txt").write_text(text)
    return root


def read(root: Path, **options: str) -> Contents:
    tree = FileTree(root)
    given = ReadOptions(**options)  # type: ignore[arg-type]
    assert TextLists().recognises(tree, given)
    return TextLists().contents(tree, given)


def rows(contents: Contents) -> list[tuple[str, str | None, str | None]]:
    found = contents.rows.sort_by("ref").to_pylist()
    return [(row["ref"], row["label"], row["split"]) for row in found]


ANSWER = [
    ("images/gnu/y1.jpg", "gnu", "test"),
    ("images/red fox/x 1.jpg", "red fox", "train"),
    ("images/red fox/x2.jpg", "red fox", "train"),
]
TRAIN = "images/red fox/x 1.jpg 0\nimages/red fox/x2.jpg 0\n"
TEST = "images/gnu/y1.jpg 1\n"


@pytest.mark.parametrize(
    "lists",
    [
        {"train": TRAIN, "test": TEST},  # names come from the folders
        {"Places_LT_train": TRAIN, "Places_LT_test": TEST, "classes": "red fox\ngnu\n"},
        {"train": TRAIN.replace(" 0", "\t5"), "test": TEST.replace(" 1", "\t3")},
        {
            "train": TRAIN.replace(" 0", ",fox").replace("fox\n", "red fox\n"),
            "test": "images/gnu/y1.jpg,gnu",
        },
        {"train": TRAIN.replace(" 0", ""), "test": TEST.replace(" 1", "")},  # paths alone
        {"train_list": TRAIN.replace("images/", ""), "test_list": TEST.replace("images/", "")},
        {"train": "path label\n" + TRAIN, "test": "path label\n" + TEST},
    ],
)
def test_lines_of_a_path_and_a_class(tmp_path: Path, lists: dict[str, str]) -> None:
    assert rows(read(folder(tmp_path, **lists))) == ANSWER


def test_a_test_list_may_have_no_classes(tmp_path: Path) -> None:
    contents = read(folder(tmp_path, train=TRAIN, test="images/gnu/y1.jpg\n"))
    assert rows(contents)[0] == ("images/gnu/y1.jpg", None, "test")


def test_other_families_of_lists_are_told_or_asked_about(tmp_path: Path) -> None:
    root = folder(tmp_path, train=TRAIN, test=TEST, small_train=TRAIN[:25], small_test=TEST)
    contents = read(root)
    assert rows(contents) == ANSWER
    assert contents.remarks[-1] == (
        "small_test.txt and small_train.txt are not used: beside test.txt and train.txt"
    )
    assert len(rows(read(root, table="small_*.txt"))) == 2
    for name in ("train.txt", "test.txt"):
        (root / name).rename(root / f"cub_{name}")
    with pytest.raises(UserError, match=r"set dataset.table to the one to read with \* for the s"):
        read(root)


def test_a_class_without_a_name_and_a_line_without_a_class_are_refused(tmp_path: Path) -> None:
    root = folder(tmp_path, train=TRAIN, test=TEST, classes="red fox\n")
    assert rows(read(root)) == ANSWER  # one name is too few: those of the folders are taken
    (root / "train.txt").write_text(TRAIN + "images/gnu/y1.jp")
    with pytest.raises(UserError, match=r"train.txt, row 3: 'images/gnu/y1.jp' is not a path, a b"):
        read(root)


@pytest.mark.parametrize(
    ("train", "labels"),
    [
        (TRAIN.replace(" 0", " Boeing 737-300"), ["Boeing 737-300"] * 2),  # blanks on both sides
        (TRAIN.replace(" 0", " 4 2 1"), ["4", "4"]),  # the first of several numbers
        (TRAIN.replace(" 0", " 1 0 1"), ["0", "2", "0", "2"]),  # flags of classes
        ("# path class\n" + TRAIN.replace(" 0", " red"), ["red", "red"]),
    ],
)
def test_what_follows_a_path_is_the_class(tmp_path: Path, train: str, labels: list[str]) -> None:
    contents = read(folder(tmp_path, train=train))
    assert contents.rows["label"].to_pylist() == labels


def test_texts_that_name_no_photo_are_no_lists(tmp_path: Path) -> None:
    root = folder(tmp_path, train="a fox in the snow\n", README="See the paper.\n")
    assert not TextLists().recognises(FileTree(root), ReadOptions())


CUB = {
    "images": "1 red fox/x 1.jpg\n2 red fox/x2.jpg\n3 gnu/y1.jpg\n",
    "image_class_labels": "1 2\n2 2\n3 1\n",
    "train_test_split": "1 1\n2 1\n3 0\n",
    "classes": "1 001.Gnu\n2 002.Red_Fox\n",
}


def cub(root: Path) -> Contents:
    tree = FileTree(root)
    assert CubLists().recognises(tree, ReadOptions())
    return CubLists().contents(tree, ReadOptions())


def test_the_lists_of_cub(tmp_path: Path) -> None:
    contents = cub(folder(tmp_path, **CUB))
    assert rows(contents) == [
        ("images/gnu/y1.jpg", "001.Gnu", "test"),
        ("images/red fox/x 1.jpg", "002.Red_Fox", "train"),
        ("images/red fox/x2.jpg", "002.Red_Fox", "train"),
    ]
    assert contents.names == ("001.Gnu", "002.Red_Fox")
    without = {name: text for name, text in CUB.items() if name != "train_test_split"}
    assert rows(cub(folder(tmp_path / "b", **without)))[0][2] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_class_labels": "1 2\n9 2\n"}, r"gives a class to photo 9, which images.txt does"),
        ({"image_class_labels": "1 7\n"}, r"photo 1 the class 7, which classes.txt does not name"),
        ({"images": "1 a.jpg\n1 b.jpg\n"}, r"images.txt, line 2: 1 stands there twice"),
        ({"train_test_split": "1 1\n2\n"}, r"train_test_split.txt, line 2: '2' is not a number"),
    ],
)
def test_lists_of_cub_that_contradict_each_other(
    tmp_path: Path, change: dict[str, str], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        cub(folder(tmp_path, **{**CUB, **change}))
