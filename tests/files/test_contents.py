import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from discl.core.errors import UserError
from discl.files.contents import ContentDigests, digest_of, digest_of_all
from discl.files.sealed import mapped

OLD = 1_600_000_000


class Told:
    """What the progress was told, and how many files were read."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, total: int) -> None:
        self.calls.append((what, done, total))

    def read(self) -> int:
        """Files read since the last question."""
        read = sum(total for _, done, total in self.calls if done == 0)
        self.calls.clear()
        return read


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a test are as old as those of a folder that nobody has written to for a while."""
    monkeypatch.setattr("discl.files.contents.TICK_SECONDS", 0.0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "cat").mkdir(parents=True)
    for name in ("a", "b", "c"):
        (folder / "cat" / f"{name}.jpg").write_bytes(name.encode() * 100)
    return folder


PATHS = ["cat/a.jpg", "cat/b.jpg", "cat/c.jpg"]


def digests(root: Path, told: Told, paths: list[str] = PATHS) -> list[bytes]:
    found = ContentDigests(root.parent / "home", root).of_files(paths, "reading", told)
    return list(found.tolist())


def test_a_digest_begins_as_sha256sum_prints_it(root: Path, told: Told) -> None:
    expected = hashlib.sha256(b"a" * 100).hexdigest()[:32].encode()
    assert digests(root, told)[0] == expected == digest_of(b"a" * 100)


def test_a_second_look_reads_nothing_in_any_order(root: Path, told: Told) -> None:
    first = digests(root, told)
    assert told.read() == 3
    assert digests(root, told) == first
    assert digests(root, told, PATHS[::-1]) == first[::-1]
    assert digests(root, told, PATHS[1:2]) == first[1:2]
    assert told.calls == []


def overwritten(path: Path) -> None:
    path.write_bytes(b"x" * 100)


def overwritten_with_its_time_set_back(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"x" * 100)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced_by_another_file_of_its_time(path: Path) -> None:
    before = path.stat()
    other = path.with_name("other")
    other.write_bytes(b"x" * 100)
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, path)


@pytest.mark.parametrize(
    "change",
    [overwritten, overwritten_with_its_time_set_back, replaced_by_another_file_of_its_time],
)
def test_other_bytes_of_equal_size_are_noticed(change, root: Path, told: Told) -> None:  # type: ignore[no-untyped-def]
    first = digests(root, told)
    time.sleep(0.02)  # beyond the tick of the clock of files
    change(root / PATHS[1])
    told.read()
    assert digests(root, told) == [first[0], digest_of(b"x" * 100), first[2]]
    assert told.read() == 1


def test_a_touched_file_is_read_again_and_keeps_its_digest(root: Path, told: Told) -> None:
    first = digests(root, told)
    told.read()
    os.utime(root / PATHS[0], (OLD, OLD))
    assert digests(root, told) == first
    assert told.read() == 1
    assert digests(root, told) == first
    assert told.read() == 0


def test_two_files_that_change_places_change_digests(root: Path, told: Told) -> None:
    first = digests(root, told)
    a, b = (root / path for path in PATHS[:2])
    a.rename(root / "aside")
    b.rename(a)
    (root / "aside").rename(b)
    assert digests(root, told) == [first[1], first[0], first[2]]


def test_a_file_that_changed_as_it_was_read_is_read_again_at_the_next_look(
    root: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next change could fall into the same tick of the clock of files."""
    monkeypatch.setattr("discl.files.contents.TICK_SECONDS", 3600.0)
    first = digests(root, told)
    overwritten_with_its_time_set_back(root / PATHS[0])
    assert digests(root, told) == [digest_of(b"x" * 100), *first[1:]]


def test_a_file_that_is_not_there_has_no_digest_and_one_that_comes_is_read(
    root: Path, told: Told
) -> None:
    paths = [*PATHS, "cat/d.jpg", "cat/\udcff.jpg"]
    first = digests(root, told, paths)
    assert first[3:] == [b"", b""]
    told.read()
    assert digests(root, told, paths) == first
    assert told.calls == []
    (root / "cat/d.jpg").write_bytes(b"d")
    (root / "cat/\udcff.jpg").write_bytes(b"e")
    assert digests(root, told, paths)[3:] == [digest_of(b"d"), digest_of(b"e")]
    assert told.read() == 2


def test_many_files_are_read_side_by_side_with_progress(tmp_path: Path, told: Told) -> None:
    (tmp_path / "many").mkdir()
    paths = [f"{number:04d}" for number in range(300)]
    for path in paths:
        (tmp_path / "many" / path).write_bytes(path.encode())
    found = digests(tmp_path / "many", told, paths)
    assert found == [digest_of(path.encode()) for path in paths]
    assert told.calls[0] == ("reading", 0, 300)
    assert told.calls[-1] == ("reading", 300, 300)
    assert len(told.calls) > 3


def test_what_was_read_before_a_stop_is_not_read_again(
    tmp_path: Path, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "many").mkdir()
    paths = [f"{number:04d}" for number in range(300)]
    for path in paths:
        (tmp_path / "many" / path).write_bytes(path.encode())

    def stop(what: str, done: int, total: int) -> None:
        if done > 150:
            raise KeyboardInterrupt

    cache = ContentDigests(tmp_path / "home", tmp_path / "many")
    with pytest.raises(KeyboardInterrupt):
        cache.of_files(paths, "reading", stop)
    cache.of_files(paths, "reading", told)
    assert told.read() == 300 - 192  # three batches of 64


def test_a_damaged_memory_is_made_again(root: Path, told: Told) -> None:
    first = digests(root, told)
    (stored,) = (root.parent / "home").rglob("digests.arrow")
    for content in (b"", b"ARROW1 and then nothing", stored.read_bytes()[:-40]):
        stored.write_bytes(content)
        told.read()
        assert digests(root, told) == first
        assert told.read() == 3


def test_two_that_look_at_once_read_each_file_once(root: Path) -> None:
    both = [Told(), Told()]
    found: list[list[bytes]] = []
    threads = [
        threading.Thread(target=lambda told=told: found.append(digests(root, told)))
        for told in both
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] == found[1]
    assert sum(told.read() for told in both) == 3


def test_a_file_that_changes_while_it_is_read_is_said(root: Path, told: Told) -> None:
    count = 0

    def growing() -> Iterator[bytes]:
        nonlocal count
        count += 1
        (root / "table").write_bytes(b"." * count)
        yield b"cell"

    (root / "table").write_bytes(b"")
    cache = ContentDigests(root.parent / "home", root)
    with pytest.raises(UserError, match=r"table changes while it is read; run the same again"):
        cache.of_tables({("table", "image"): growing}, "reading", told)


def test_each_row_of_a_table_has_a_digest_until_its_file_changes(root: Path, told: Told) -> None:
    cache = ContentDigests(root.parent / "home", root)
    (root / "table").write_bytes(b"1")
    cells = {("table", "image"): lambda: [b"one", None, b"two"]}
    first = cache.of_tables(cells, "reading", told)["table", "image"]
    assert first.tolist() == [digest_of(b"one"), b"", digest_of(b"two")]
    cells = {("table", "image"): lambda: [b"other"]}
    assert np.array_equal(cache.of_tables(cells, "reading", told)["table", "image"], first)
    (root / "table").write_bytes(b"22")
    again = cache.of_tables(cells, "reading", told)["table", "image"]
    assert again.tolist() == [digest_of(b"other")]


def test_a_digest_of_digests_keeps_their_bounds_and_order() -> None:
    parts = [["ab", "c"], ["a", "bc"], ["c", "ab"], [b"abc"]]
    assert len({digest_of_all(some) for some in parts}) == 4
    assert digest_of_all(["ab"]) == digest_of_all([b"ab"])


def test_what_is_remembered_is_one_arrow_file_with_a_seal_behind_it(root: Path, told: Told) -> None:
    digests(root, told)
    (stored,) = (root.parent / "home").rglob("digests.arrow")
    content = mapped(stored, f"{stored.parent.name} {stored.name}", "")
    table = pa.ipc.open_file(pa.py_buffer(content)).read_all()
    assert table["key"].to_pylist() == [path.encode() for path in PATHS]
