"""From a folder to its listings: settings, steps and what `data info` says of them."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from discl.cli import main
from discl.core.errors import UserError
from discl.parts.datasets.folder import Folder

SHAPE = (16, 16, 3)


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def photo(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, SHAPE, np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A list of 24 photos: three classes, six cameras, bursts of two."""
    rows = []
    for i in range(24):
        photo(tmp_path / "photos" / "images" / f"{i:02d}.png", i)
        label = ("gnu", "lion", "zebra")[i // 2 % 3]
        rows.append((f"images/{i:02d}.png", label, f"c{i // 4}", f"b{i // 2}"))
    listed(tmp_path / "photos", rows)
    return tmp_path / "photos"


def listed(root: Path, rows: list[tuple[str, ...]]) -> None:
    with (root / "labels.csv").open("w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerows([("file", "species", "camera", "sequence"), *rows])


def read(root: Path) -> list[tuple[str, ...]]:
    with (root / "labels.csv").open(newline="") as opened:
        return [tuple(row) for row in list(csv.reader(opened))[1:]]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"split_by": "camera"},
            r"dataset.split_by = 'camera': takes auto, sequence, group, photo",
        ),
        ({"multi_label": "all"}, r"dataset.multi_label = 'all': takes drop, first, crop"),
        ({"truncated": "yes"}, r"dataset.truncated = 'yes': takes read, drop"),
        ({"grey": "sqrt"}, r"dataset.grey = 'sqrt': takes auto, range, depth"),
        ({"ood_groups": "c1"}, r"dataset.ood_groups = 'c1': takes a list of names, such as"),
        ({"ood_groups": 1.5}, r"dataset.ood_groups = 1.5: takes a share"),
        ({"ood": [1]}, r"dataset.ood = \[1\]: takes a list of names"),
        ({"group_level": -1}, r"dataset.group_level = -1: takes 1 for the topmost"),
        ({"group_level": 1, "group_column": "camera"}, r"all say what belongs together; set one"),
        ({"crop_confidence": 20}, r"dataset.crop_confidence = 20: takes 0 to 1"),
        ({"crop_padding": -0.1}, r"dataset.crop_padding = -0.1: takes 0 to 1"),
    ],
)
def test_a_bad_setting_is_refused_before_any_folder_is_looked_at(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Folder(root="nowhere", **settings)


def test_bursts_stay_whole_and_held_out_cameras_are_a_split_of_their_own(root: Path) -> None:
    folder = Folder(root=str(root), group_column="camera", ood_groups=["c2", "c5"])
    assert folder.splits == ("train", "val", "test", "ood/unseen")
    assert folder.listing("ood/unseen").refs.tolist() == [
        f"images/{i:02d}.png" for i in (8, 9, 10, 11, 20, 21, 22, 23)
    ]
    of_burst = {ref: burst for ref, _, _, burst in read(root)}
    bursts = [{of_burst[ref] for ref in folder.listing(split).refs} for split in folder.splits]
    assert sum(map(len, bursts)) == 12 == len(set.union(*bursts))


def test_a_second_command_reads_no_list_and_finds_the_same(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discl.parts.datasets.manifest.store.SETTLED_NS", 0)
    first = Folder(root=str(root)).manifest
    monkeypatch.setattr("discl.parts.datasets.folder.built", None)
    second = Folder(root=str(root)).manifest
    assert second.rows.equals(first.rows)
    assert (second.names, second.remarks) == (first.names, first.remarks)


def test_a_picture_that_becomes_equal_to_another_goes_with_it(root: Path) -> None:
    listed(root, [(ref, label, camera, "") for ref, label, camera, _ in read(root)])
    before = Folder(root=str(root), split_by="photo")
    (train, *_), (val, *_) = (before.listing(name).refs.tolist() for name in ("train", "val"))
    (root / val).write_bytes((root / train).read_bytes())
    after = Folder(root=str(root), split_by="photo").manifest.rows
    splits = dict(zip(after["ref"].to_pylist(), after["split"].to_pylist(), strict=True))
    assert splits[train] == splits[val]


def test_one_row_without_a_photo_is_left_out_as_far_as_it_may_be(root: Path) -> None:
    (root / "images" / "05.png").unlink()
    folder = Folder(root=str(root), most_unreadable=0.2)
    assert sum(len(folder.listing(split).refs) for split in folder.splits) == 23
    assert any("1 row(s) without a file left out (images/05.png)" in note for note in folder.notes)
    with pytest.raises(UserError, match=r"listed but not there \(images/05.png\), more than"):
        Folder(root=str(root)).identity()


def test_names_of_splits_and_groups_that_are_not_there_are_refused(root: Path) -> None:
    for settings, says in (
        ({"ood": ["night"]}, r"dataset.ood names a split 'night'; the folder has"),
        ({"ood_groups": ["c9"], "group_column": "camera"}, r"no group of the photos called 'c9'"),
    ):
        with pytest.raises(UserError, match=says):
            Folder(root=str(root), **settings).identity()  # type: ignore[arg-type]


def boxes(root: Path) -> dict[str, Any]:
    """Two boxes of one photo, by an exported manifest."""
    path = root.parent / "boxes.csv"
    Folder(root=str(root)).export(path, lambda *done: None)
    with path.open(encoding="utf-8-sig", newline="") as opened:
        header, first, *rest = csv.reader(opened)
    cells = [[*first[:5], box, *first[6:]] for box in ("0 0 0.5 1", "0.5 0 0.5 0.5")]
    with path.open("w", newline="") as opened:
        csv.writer(opened).writerows([header, *cells, *rest])
    return {"table": str(path)}


def test_parts_of_a_photo_are_samples_with_pixels_of_their_own(root: Path) -> None:
    folder = Folder(root=str(root), side=8, **boxes(root))
    (split,) = {name for name in folder.splits if "#" in "".join(folder.listing(name).refs)}
    photos = folder.split(split)
    left, right = (row for row, name in enumerate(photos.ids.tolist()) if "#" in name)
    whole = np.asarray(Image.open(root / "images" / "00.png"))
    assert photos.original is not None
    assert np.array_equal(photos.original(left), whole)  # half the width, made square
    assert np.array_equal(photos.original(right), whole[:8, 8:])
    assert not np.array_equal(photos.pixels[left], photos.pixels[right])


def info(root: Path, capsys: pytest.CaptureFixture[str], *settings: str) -> str:
    words = [word for setting in settings for word in ("--set", setting)]
    with pytest.raises(SystemExit) as ending:
        main(["data", "info", "folder", *words])
    assert ending.value.code == 0, capsys.readouterr().err
    return capsys.readouterr().out


@pytest.mark.parametrize("spelling", ["root", "dataset.root"])
def test_data_info_says_what_was_understood_with_counts_by_class_and_group(
    root: Path, capsys: pytest.CaptureFixture[str], spelling: str
) -> None:
    told = info(root, capsys, f"{spelling}={root}", "group_column=camera", "ood_groups=['c5']")
    assert " gnu " in told
    assert "6 groups of 4 to 4 photos, half of them of 4 or more; " in told
    row = next(line for line in told.splitlines() if line.startswith(" c5 "))
    assert row.split()[-4:] == ["0", "0", "0", "4"]
    assert "understood: label: column species of labels.csv" in told
    assert "understood: ood/unseen: 1 of 6 groups (dataset.ood_groups)" in told
    assert "- held out as ood/unseen: 4 photo(s) of 1 group(s) (c5)" in told


def change_a_list(root: Path) -> None:
    (root / "labels.csv").write_text((root / "labels.csv").read_text() + " \n")


@pytest.mark.parametrize(
    "change", [change_a_list, lambda root: photo(root / "images" / "99.png", 99)]
)
def test_a_folder_that_changes_while_it_is_read_is_one_sentence(
    root: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from discl.parts.datasets import folder

    built = folder.built

    def slow(tree: Any, *rest: Any) -> Any:
        manifest = built(tree, *rest)
        change(root)
        return manifest

    monkeypatch.setattr(folder, "built", slow)
    with pytest.raises(
        UserError, match=r"changed while the photos were listed; run the same again"
    ):
        Folder(root=str(root)).identity()
