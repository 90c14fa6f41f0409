"""Which changes to photos in files change the ids of banks and runs."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from discl.config.experiment import experiments
from discl.config.load import load
from discl.files.photos import encode
from discl.harness.run.assembly import Bench
from discl.parts.datasets.folder import Folder
from tests.trees import SPLIT_KINDS, split_folders

REPLACED = "train/lion/1.png"


@pytest.fixture(autouse=True)
def own_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("discl.files.contents.TICK_SECONDS", 0.0)


class Ids(NamedTuple):
    bank: str
    run: str


def ids(root: Path) -> Ids:
    """Of the bank and of a run on the photos, as the next command has them."""
    settings = [f"dataset.root={root}", "strategies=['static']"]
    bench = Bench(load("folder", "smoke", settings))
    return Ids(bench.bank_id, experiments(bench.spec)[0].id())


def photo(number: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return split_folders(tmp_path / "photos", 3, photo)


def one_pixel(root: Path) -> None:
    pixels = np.array(Image.open(root / REPLACED))
    pixels[3, 3, 0] ^= 1
    Image.fromarray(pixels).save(root / REPLACED)


def in_place(root: Path) -> None:
    path = root / REPLACED
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def in_place_with_its_time(root: Path) -> None:
    status = (root / REPLACED).stat()
    in_place(root)
    os.utime(root / REPLACED, ns=(status.st_atime_ns, status.st_mtime_ns))


def re_encoded(root: Path) -> None:
    Image.open(root / REPLACED).save(root / REPLACED, compress_level=0)


def swapped(root: Path) -> None:
    path, other = root / REPLACED, root / "train/gnu/1.png"
    path.rename(root / "aside")
    other.rename(path)
    (root / "aside").rename(other)


def added(root: Path) -> None:
    photo(99).save(root / "train/lion/9.png")


def removed(root: Path) -> None:
    (root / REPLACED).unlink()


@pytest.mark.parametrize(
    "change",
    [one_pixel, in_place, in_place_with_its_time, re_encoded, swapped, added, removed],
    ids=lambda change: change.__name__,
)
def test_other_pictures_have_another_bank_and_another_run(
    change: Callable[[Path], None], root: Path
) -> None:
    before = ids(root)
    assert ids(root) == before
    time.sleep(0.02)  # beyond the tick of the clock of files
    change(root)
    after = ids(root)
    assert after.bank != before.bank
    assert after.run != before.run


def test_a_photo_of_which_no_image_is_made_changes_runs_and_not_the_bank(root: Path) -> None:
    before = ids(root)
    photo(99).save(root / "val/lion/1.png")
    after = ids(root)
    assert after.bank == before.bank
    assert after.run != before.run


def moved(root: Path) -> Path:
    return root.rename(root.with_name("elsewhere"))


def copied(root: Path) -> Path:
    return Path(shutil.copytree(root, root.with_name("copy"), copy_function=shutil.copyfile))


def touched(root: Path) -> Path:
    os.utime(root / REPLACED, (1_600_000_000, 1_600_000_000))
    return root


def other_rights(root: Path) -> Path:
    (root / REPLACED).chmod(0o600)
    return root


@pytest.mark.parametrize(
    "change", [moved, copied, touched, other_rights], ids=lambda change: change.__name__
)
def test_the_same_pictures_keep_bank_and_run(change: Callable[[Path], Path], root: Path) -> None:
    before = ids(root)
    assert ids(change(root)) == before


def test_equal_names_of_other_pictures_are_another_dataset(root: Path) -> None:
    other = copied(root)
    for number, path in enumerate(sorted(other.rglob("*.png"))):
        photo(1000 + number).save(path)
    one, another = ids(root), ids(other)
    assert one.bank != another.bank
    assert one.run != another.run


def table(root: Path, order: list[int], shards: int = 1) -> Path:
    """Parquet files with the same photos in some order of rows."""
    root.mkdir(parents=True)
    for split, start in (("train", 0), ("val", 100), ("test", 200)):
        rows = [
            {"image": {"bytes": encode(np.asarray(photo(start + i))), "path": None}, "label": i % 3}
            for i in order
        ]
        for shard in range(shards):
            name = f"{split}-{shard:05d}-of-{shards:05d}.parquet"
            pq.write_table(pa.Table.from_pylist(rows[shard::shards]), root / name)
    return root


def test_rows_of_a_table_in_another_order_are_the_same_dataset(tmp_path: Path) -> None:
    one = table(tmp_path / "one", list(range(12)))
    shuffled = table(tmp_path / "shuffled", [5, 3, 8, 1, 0, 2, 11, 10, 9, 4, 7, 6], shards=2)
    assert ids(one) == ids(shuffled)
    first, second = (Folder(root=str(root)).split("train") for root in (one, shuffled))
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.pixels, second.pixels)
    assert np.array_equal(first.labels, second.labels)


def test_another_picture_in_a_table_is_another_dataset(tmp_path: Path) -> None:
    one = table(tmp_path / "one", list(range(12)))
    other = table(tmp_path / "other", [*range(11), 12 + 2])  # of the same class
    before, after = ids(one), ids(other)
    assert before.bank != after.bank
    assert before.run != after.run


def test_rows_of_a_list_in_another_order_are_the_same_dataset(tmp_path: Path) -> None:
    root = tmp_path / "listed"
    root.mkdir()
    lines = []
    for i in range(12):
        photo(i).save(root / f"{i}.png")
        split = ("train", "train", "val", "test")[i // 3]
        lines.append(f"{i}.png,{SPLIT_KINDS[i % 3]},{split}\n")
    (root / "metadata.csv").write_text("file_name,label,split\n" + "".join(lines))
    before = ids(root)
    (root / "metadata.csv").write_text("file_name,label,split\n" + "".join(lines[::-1]))
    assert ids(root) == before
