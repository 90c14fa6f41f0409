"""The base class of datasets of files, tested with a small one."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from discl.core.errors import UserError
from discl.core.interfaces import Dataset, InFiles, Listing
from discl.files.sources import MAX_AUTOMATIC_BYTES, Archives, ByHand, RemoteFile
from discl.parts.datasets.base.file_dataset import FileDataset

KINDS = ("cat", "dog", "owl")


class Toy(FileDataset):
    """Lines of list.txt: split, path, label, group."""

    folder_name = "toy"
    layout = "list.txt and photos/"
    sources = (
        Archives(
            "the publisher",
            (RemoteFile("http://127.0.0.1:9/toy.tar.gz", 12 * MAX_AUTOMATIC_BYTES, "0" * 64),),
        ),
        ByHand("https://example.org/toy", "register, then unpack toy.zip", MAX_AUTOMATIC_BYTES),
    )
    published: ClassVar = {"train": 40}
    looks = 0

    def __init__(self, root: str = "", side: int = 16, most_unreadable: float = 0.1) -> None:
        super().__init__(root, side, most_unreadable)

    @property
    def classes(self) -> tuple[str, ...]:
        return KINDS

    def holds(self, root: Path) -> bool:
        return (root / "list.txt").exists()

    def listings(self, root: Path) -> Mapping[str, Listing]:
        Toy.looks += 1
        rows = [line.split() for line in (root / "list.txt").read_text().splitlines()]
        listings = {}
        for split in dict.fromkeys(row[0] for row in rows):
            members = [row for row in rows if row[0] == split]
            listings[split] = Listing(
                np.array([row[1] for row in members]),
                np.array([int(row[2]) for row in members]),
                np.array([int(row[3]) for row in members]),
            )
        return listings

    def prompts(self, label: int) -> tuple[str, ...]:
        return (KINDS[label],)


Row = tuple[str, str, int, int]


def usual() -> list[Row]:
    rows = [("train", f"photos/t{i}.png", i % 3, i % 2) for i in range(24)]
    rows += [("val", f"photos/v{i}.png", i % 3, i % 2) for i in range(6)]
    return rows + [("test", f"photos/e{i}.png", i % 3, 2) for i in range(6)]


def write(root: Path, rows: list[Row], without: tuple[str, ...] = ()) -> str:
    (root / "photos").mkdir(parents=True, exist_ok=True)
    for shade, (_, ref, label, _) in enumerate(rows):
        if ref.startswith("photos/") and ref not in without:
            Image.fromarray(np.full((20, 24, 3), 40 * abs(label) + shade, np.uint8)).save(
                root / ref
            )
    (root / "list.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    return str(root)


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))


def silent(what: str, done: int, total: int) -> None:
    pass


def test_photos_come_as_listed_at_training_size_and_as_they_were_taken(tmp_path: Path) -> None:
    toy = Toy(write(tmp_path / "toy", usual()))
    assert isinstance(toy, Dataset)
    assert isinstance(toy, InFiles)
    assert toy.splits == ("train", "val", "test")
    steps: list[str] = []
    toy.prepare(lambda what, done, total: steps.append(what))
    assert "decoding train photos at 16 px (18.4 kB)" in steps
    split = toy.split("test")
    assert split.ids.tolist() == [f"photos/e{i}.png" for i in range(6)]
    assert split.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert split.groups.tolist() == [2] * 6
    assert split.pixels.shape == (6, 16, 16, 3)
    assert split.pixels[:, 0, 0, 0].tolist() == [30, 71, 112, 33, 74, 115]
    assert split.original is not None
    assert split.original(1).shape == (20, 24, 3)
    assert split.original_size is not None
    assert split.original_size(1) == (20, 24)
    assert split.whole is not None
    side = split.pixels.shape[1]
    assert split.whole(1).shape == (side, round(side * 24 / 20), 3)
    travelled = pickle.loads(pickle.dumps(toy))  # noqa: S301
    assert travelled.split("val").ids.tolist() == toy.split("val").ids.tolist()


def test_a_large_photo_is_decoded_at_a_part_of_its_size_where_that_is_enough(
    tmp_path: Path,
) -> None:
    toy = Toy(write(tmp_path / "toy", usual()))
    Image.fromarray(np.zeros((160, 240, 3), np.uint8)).save(
        tmp_path / "toy" / "photos" / "e1.png", "JPEG"
    )
    split = toy.split("test")
    assert split.reduced is not None
    assert split.reduced(1, 40).shape == (40, 60, 3)
    assert split.reduced(1, 41).shape == (80, 120, 3)
    assert split.reduced(0, 4).shape == (20, 24, 3)  # no other format can


def test_it_is_found_in_its_own_folder_or_one_level_below(tmp_path: Path) -> None:
    write(tmp_path / "data" / "toy" / "toy_v2.0", usual())
    assert Toy().ready
    assert Toy().folder == tmp_path / "data" / "toy" / "toy_v2.0"
    assert not Toy(str(tmp_path / "elsewhere")).ready


def test_the_identity_follows_what_is_listed_and_not_where_it_lies(tmp_path: Path) -> None:
    one, moved = (
        Toy(write(tmp_path / "a", usual())),
        Toy(write(tmp_path / "b", usual()), most_unreadable=0.5),
    )
    assert one.identity() == moved.identity()
    relabelled = [(split, ref, (label + 1) % 3, group) for split, ref, label, group in usual()]
    regrouped = [(split, ref, label, 7) for split, ref, label, group in usual()]
    others = [
        Toy(write(tmp_path / name, rows))
        for name, rows in (("c", relabelled), ("d", regrouped), ("e", usual()[1:]))
    ]
    digests = {str(toy.identity()) for toy in [one, *others, Toy(str(tmp_path / "a"), side=24)]}
    assert len(digests) == 5


def test_metadata_is_read_once_a_process_until_it_changes(tmp_path: Path) -> None:
    root = write(tmp_path / "toy", usual())
    Toy(root).identity()
    looks = Toy.looks
    for _ in range(5):
        Toy(root).identity()
    assert Toy.looks == looks
    write(tmp_path / "toy", usual()[:-1])
    assert len(Toy(root).listing("test").refs) == 5


def test_what_is_missing_says_where_it_looked_how_large_it_is_and_what_to_put_where(
    tmp_path: Path,
) -> None:
    for ask in (
        lambda: Toy().identity(),
        lambda: Toy().prepare(silent),
        lambda: Toy().split("train"),
    ):
        with pytest.raises(UserError) as raised:
            ask()
    message = str(raised.value)
    for part in (
        "is not on this machine",
        str(tmp_path / "data" / "toy"),
        "list.txt and photos/",
        "12 GB",
        "http://127.0.0.1:9/toy.tar.gz",
        "https://example.org/toy: register",
        "1 GB",
        "discl data fetch",
        str(tmp_path / "data" / "downloads"),
        "dataset.root",
    ):
        assert part in message
    with pytest.raises(UserError, match=r"the publisher .* does not answer.*by hand"):
        Toy().fetch(silent)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [*usual(), ("train", "photos/t0.png", 0, 0)],
            r"photos/t0.png is listed twice in split train",
        ),
        (
            [*usual(), ("test", "photos/t0.png", 0, 0)],
            r"photos/t0.png is listed in train and in test",
        ),
        (
            [*usual(), ("train", "photos/t30.png", 3, 0)],
            r"1 row\(s\) of split train have a label out of range: photos/t30.png has 3",
        ),
        ([*usual(), ("train", "photos/t30.png", -1, 0)], r"photos/t30.png has -1"),
        ([*usual(), ("train", "../secret.png", 1, 0)], r"'../secret.png', which does not lie in"),
        (
            [*usual(), ("train", "/etc/secret.png", 1, 0)],
            r"'/etc/secret.png', which does not lie in",
        ),
        ([row for row in usual() if row[0] != "val"], r"no val split; it has train, test"),
        (
            [*usual(), *(("train", f"photos/u{i}.png", 0, 0) for i in range(14))],
            r"train of test_file_dataset lists 38 photos, 40 are published",
        ),
    ],
)
def test_metadata_that_contradicts_itself_is_refused(
    tmp_path: Path, rows: list[Row], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        Toy(write(tmp_path / "toy", rows)).identity()


def test_rows_without_files_are_counted_and_refused_where_they_are_many(tmp_path: Path) -> None:
    root = write(tmp_path / "toy", usual(), without=("photos/t3.png", "photos/t5.png"))
    toy = Toy(root)
    assert len(toy.listing("train").refs) == 22
    assert len(toy.split("train")) == 22
    assert "train: 2 row(s) without a file left out (photos/t3.png, photos/t5.png)" in toy.notes
    with pytest.raises(
        UserError,
        match=(
            r"2 of 24 photos of split train .* are listed but not there"
            r" \(photos/t3.png.*most_unreadable"
        ),
    ):
        Toy(root, most_unreadable=0.01).identity()


def test_files_without_rows_are_counted(tmp_path: Path) -> None:
    root = write(tmp_path / "toy", usual())
    (tmp_path / "toy" / "photos" / "extra.jpg").touch()
    (tmp_path / "toy" / "photos" / "readme.md").touch()
    assert any(
        note.startswith("1 picture file(s) lie in the folders of listed photos without a row")
        for note in Toy(root).notes
    )


def test_unreadable_photos_are_counted_listed_and_refused_where_they_are_many(
    tmp_path: Path,
) -> None:
    root = write(tmp_path / "toy", usual())
    (tmp_path / "toy" / "photos" / "t4.png").write_bytes(b"no picture")
    toy = Toy(root)
    assert len(toy.split("train")) == 23
    assert "photos/t4.png" not in toy.split("train").ids
    (note,) = [note for note in toy.notes if "unreadable photo" in note]
    assert note.startswith("train: 1 unreadable photo(s) left out (dog 1: photos/t4.png)")
    assert "photos/t4.png" in Path(note.rpartition(" in ")[2]).read_text()
    with pytest.raises(
        UserError, match=r"1 of 24 photos of split train .* are unreadable .*no known format"
    ):
        Toy(root, most_unreadable=0.01).prepare(silent)


def test_odd_splits_are_remarked_on(tmp_path: Path) -> None:
    rows = [
        (split, ref, label, 0)
        for split, ref, label, _ in usual()
        if not (split == "val" and label == 2)
    ]
    Toy.grouped = True
    try:
        notes = Toy(write(tmp_path / "toy", rows)).notes
    finally:
        Toy.grouped = False
    assert any(note.startswith("val has no photo of 1 of 3 classes (owl)") for note in notes)
    assert any(note.startswith("all photos are of one group") for note in notes)
    owls_left_out = [row for row in usual() if row[2] != 2 or row[0] == "test"]
    notes = Toy(write(tmp_path / "other", owls_left_out)).notes
    assert any(note.startswith("train has no photo of 1 of 3 classes (owl)") for note in notes)


@pytest.mark.parametrize(
    "parameters", [{"side": 2}, {"side": 5000}, {"most_unreadable": 1.0}, {"most_unreadable": -0.1}]
)
def test_impossible_settings_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(parameters))):
        Toy(**parameters)
