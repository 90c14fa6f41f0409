"""A manifest as CSV: corrected by hand, read back, refused where it is of another folder."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from discl.cli import main
from discl.core.errors import UserError
from discl.parts.datasets.folder import Folder

Rows = list[dict[str, str]]
ODD = ("=1+1", "'quoted", "007", "1-2", "@home", "zebra, plains")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def photo(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Class folders, a level of cameras above them."""
    for place, name in enumerate(("gnu", "lion")):
        for i in range(8):
            photo(tmp_path / "photos" / f"camera {i % 2}" / name / f"{i}.png", 10 * place + i)
    return tmp_path / "photos"


def exported(root: Path, **settings: object) -> Path:
    path = root.parent / "photos.csv"
    Folder(root=str(root), **settings).export(path, lambda *done: None)  # type: ignore[arg-type]
    return path


def edited(path: Path, edit: Callable[[Rows], object], **form: str) -> Path:
    with path.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    edit(rows)
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0].keys(), **form)  # type: ignore[arg-type]
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_it_reads_back_as_it_was_from_anywhere(root: Path, tmp_path: Path) -> None:
    before = Folder(root=str(root), group_level=1)
    path = exported(root, group_level=1)
    after = Folder(root=str(root), table=str(path))
    assert after.identity() == before.identity()
    assert after.group_names == ("camera 0", "camera 1")
    assert not [note for note in after.remarks() if "cut from train" in note]
    moved = tmp_path / "elsewhere"
    root.rename(moved)
    assert Folder(root=str(moved), table=str(path)).identity() == before.identity()


def test_names_that_a_spreadsheet_would_change_survive(tmp_path: Path) -> None:
    for i, name in enumerate(ODD):
        for number in range(3):
            photo(tmp_path / "photos" / name / f"={number}.png", 10 * i + number)
    photo(tmp_path / "photos" / "007" / "-1.png", 99)
    root = tmp_path / "photos"
    path = exported(root)
    with path.open(encoding="utf-8-sig", newline="") as opened:
        cells = {cell for row in csv.reader(opened) for cell in row}
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")]
    assert {"'=1+1", "''quoted", "'007", "./=1+1/=0.png"} <= cells
    before, after = Folder(root=str(root)), Folder(root=str(root), table=str(path))
    assert after.manifest.names == before.manifest.names
    assert after.identity() == before.identity()


def test_corrections_count_whatever_a_spreadsheet_saved(root: Path) -> None:
    def edit(rows: Rows) -> None:
        rows[0]["label"] = "eland"
        rows[1]["split"], rows[2]["group"] = "ood/night", ""
        rows[3]["box"] = "0.25 0 0.5 1"
        rows[:] = rows[::-1]

    path = edited(exported(root, group_level=1), edit, delimiter=";")
    folder = Folder(root=str(root), table=str(path))
    assert folder.classes == ("eland", "gnu", "lion")
    assert "ood/night" in folder.splits
    assert -1 in folder.manifest.listings["train"].groups
    boxed = [
        ref for listing in folder.manifest.listings.values() for ref in listing.refs if "#" in ref
    ]
    assert len(boxed) == 1


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda rows: rows[2].update(path=""), r"photos.csv row 3 names no photo; complete or"),
        (
            lambda rows: rows[1].update(box="1 2"),
            r"row 2: box = '1 2'; write x, y, width and height",
        ),
        (lambda rows: rows[1].update(box="0.5 0 0.9 1"), r"row 2: box = '0.5 0 0.9 1'"),
        (
            lambda rows: rows.append({**rows[0], "split": "ood/night"}),
            r"1 photo in more than one split: camera 0/gnu/0.png .*photos.csv, row 17",
        ),
        (
            lambda rows: [row.update(path=f"{i}.png") for i, row in enumerate(rows)],
            r"exported from another folder than .*photos: 16 of 16 photos .*row 1\)",
        ),
        (lambda rows: [row.update(label="") for row in rows], r"label"),
    ],
)
def test_what_is_wrong_in_it_is_said_with_the_row(
    root: Path, edit: Callable[[Rows], object], says: str
) -> None:
    path = edited(exported(root), edit)
    with pytest.raises(UserError, match=says):
        Folder(root=str(root), table=str(path)).identity()


def test_one_of_a_folder_with_equal_names_is_refused_and_one_new_picture_is_told(
    root: Path,
) -> None:
    path = exported(root)
    photo(root / "camera 0" / "gnu" / "0.png", 1000)
    (told,) = [r for r in Folder(root=str(root), table=str(path)).remarks() if "exported" in r]
    assert "1 photo(s) are not there or other pictures" in told
    assert "camera 0/gnu/0.png" in told
    for number, file in enumerate(sorted(root.rglob("*.png"))):
        photo(file, 2000 + number)
    with pytest.raises(UserError, match="exported from another folder"):
        Folder(root=str(root), table=str(path)).identity()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["folder", "--set", "root={root}", "--export", "{root}/list.csv"], "lies in"),
        (["folder", "--set", "root={root}", "--export", "{there}"], "is there already"),
        (["cifar10_lt"], "knows how its files are laid out"),
    ],
)
def test_an_export_that_would_do_harm_is_refused(
    root: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    there = root.parent / "there.csv"
    there.touch()
    filled = [word.format(root=root, there=there) for word in words]
    with pytest.raises(SystemExit) as ending:
        main(["data", "manifest", *filled])
    assert ending.value.code == 2
    assert says in capsys.readouterr().err


def test_the_command_tells_how_the_folder_was_read_and_how_to_read_the_file(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(
            ["data", "manifest", "folder", "--set", f"root={root}", "--export", str(root) + ".csv"]
        )
    told = capsys.readouterr().out
    assert "understood: layout: class folders" in told
    assert f"{root}.csv: 16 rows; --set dataset.table={root}.csv reads it back" in told
