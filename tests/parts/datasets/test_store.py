"""Manifests on the disk: made once, made again when anything of the folder changes."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.rows import Decision, RowBuilder
from discl.parts.datasets.manifest.store import Manifest, stored
from discl.parts.datasets.manifest.tree import FileTree


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DISCL_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder that has not been written to for an hour."""
    root = tmp_path / "photos"
    for name in ("cat/1.jpg", "cat/2.jpg", "gnu/1.jpg", "labels.csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")
    (root / "empty").mkdir()
    aged(root)
    return root


def aged(root: Path, seconds: int = 3600) -> None:
    for path in [root, *root.rglob("*")]:
        time_ns = path.stat().st_mtime_ns - seconds * 10**9
        os.utime(path, ns=(time_ns, time_ns))


class Maker:
    """Lists the pictures of a tree and counts how often."""

    def __init__(self, while_reading: Callable[[Path], object] = lambda root: None) -> None:
        self.times = 0
        self.pictures = "one"
        self.while_reading = while_reading

    def __call__(self, tree: FileTree) -> Manifest:
        self.times += 1
        rows = RowBuilder()
        for ref in tree.pictures:
            rows.add(ref, "cat", split="train", group="c1" if ref < "cat/2" else None)
        self.while_reading(tree.root)
        decisions = (Decision("layout", "toy", "told"),)
        return Manifest(rows.table(), "toy", ("cat",), decisions, ("odd",), pictures=self.pictures)

    def read(self, root: Path, others: tuple[Path, ...] = (), settings: object = 1) -> Manifest:
        return stored(root, settings, others, self, lambda manifest: self.pictures)


def test_a_manifest_is_made_once_and_read_back_whole(root: Path) -> None:
    maker = Maker()
    first, second = maker.read(root), maker.read(root)
    assert maker.times == 1
    assert second.rows.equals(first.rows)
    assert (second.decisions, second.remarks) == (first.decisions, first.remarks)
    assert second.listings["train"].groups.tolist() == [0, -1, -1]
    assert second.groups == ("c1",)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / "cat" / "3.jpg").write_bytes(b"x"),
        lambda root: (root / "gnu" / "1.jpg").unlink(),
        lambda root: (root / "empty" / "1.jpg").write_bytes(b"x"),
        lambda root: (root / "new" / "deep").mkdir(parents=True),
        lambda root: (root / "labels.csv").write_bytes(b"longer"),
        lambda root: os.utime(root / "labels.csv"),
    ],
)
def test_it_is_made_again_when_a_folder_or_a_list_changes(
    root: Path, change: Callable[[Path], object]
) -> None:
    maker = Maker()
    maker.read(root)
    change(root)
    assert maker.read(root).rows["ref"].to_pylist() == FileTree(root).pictures
    assert maker.times == 2


def test_it_is_made_again_for_other_settings_pictures_and_lists_elsewhere(
    root: Path, tmp_path: Path
) -> None:
    maker = Maker()
    crops = tmp_path / "md.json"
    crops.write_text("{}")
    os.utime(crops, (1, 1))
    for settings in (1, 2):
        maker.read(root, (crops,), settings)
    assert maker.times == 2
    crops.write_text("[]")
    maker.read(root, (crops,), 2)
    maker.pictures = "other"
    maker.read(root, (crops,), 1)
    assert maker.times == 4


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", None])
def test_a_damaged_one_is_made_again(
    root: Path, data: Path, damage: Callable[[bytes], bytes] | None
) -> None:
    maker = Maker()
    whole = maker.read(root)
    (path,) = (data / "manifests").glob("*/*")
    content = path.read_bytes()
    middle = content[:40] + bytes(byte ^ 1 for byte in content[40:44]) + content[44:]
    path.write_bytes(damage(content) if damage else middle)
    assert maker.read(root).rows.equals(whole.rows)
    assert maker.times == 2


def test_a_folder_that_changes_meanwhile_is_one_sentence_and_nothing_is_kept(
    root: Path, data: Path
) -> None:
    maker = Maker(while_reading=lambda root: (root / "cat" / "9.jpg").write_bytes(b"x"))
    with pytest.raises(UserError, match=r"photos/cat changed while the photos were listed; run"):
        maker.read(root)
    assert not list((data / "manifests").glob("*/*"))


def test_a_folder_that_was_written_just_now_is_not_kept_yet(root: Path, data: Path) -> None:
    (root / "cat" / "3.jpg").write_bytes(b"x")
    Maker().read(root)
    assert not list((data / "manifests").glob("*/*"))


def test_a_full_disk_costs_only_the_next_reading(root: Path, data: Path) -> None:
    data.write_text("a file in the way")
    maker = Maker()
    assert maker.read(root).rows.num_rows == maker.read(root).rows.num_rows == 3
