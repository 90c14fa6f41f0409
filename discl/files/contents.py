"""Digests of the contents of files, remembered until a file changes.

They are kept in one file for each folder: path, size, times of change of content and of the entry,
inode and digest. A second look at a file that has not changed costs a `stat`. The time at which the
entry changed cannot be set back, so that a file with other bytes under its old size and time is
noticed. A file that changed just before it was read is read again at the next look, since a clock
of the disk may stand still for so long (as git does it).
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.interfaces import Progress
from discl.core.plain_files import NoFileError
from discl.core.seals import DamagedFileError
from discl.files.disk import atomic_write, folder_lock
from discl.files.formats.arrow_memory import integers, of_bytes, of_integers
from discl.files.processes import cores
from discl.files.sealed import mapped, seal, told

VERSION = 1  # raised when a digest means something else
DIGITS = 32  # hex digits of a digest
TICK_SECONDS = 2.0  # the coarsest clock of a disk
SAVE_SECONDS = 20.0  # of reading that a kill may cost
# many files are looked at again in one process only after so long: every run id needs a look
SECONDS_PER_FILE = 2e-4
FEW = 5000  # files, which are always looked at again
_BLOCK = 1 << 22  # bytes read at a time
_BATCH = 1 << 16  # digests joined at a time
_TASK = 64  # files of a task
_SLOW_STAT_SECONDS = 1e-4  # beyond it, as on a network disk, files are looked at side by side
_TRIES = 3  # readings of a file that changes meanwhile

Digests = NDArray[np.bytes_]  # [n], the first `DIGITS` hex digits of SHA-256; empty = no such file


class Stamp(NamedTuple):
    """What tells that a file may have changed."""

    size: int
    changed_ns: int  # content
    entry_changed_ns: int  # content, name, owner or rights
    inode: int


class FileContents(NamedTuple):
    """The contents of files at one moment."""

    digests: Digests  # [n]
    # [n, 4], see `Stamp`; none is equal to that of a file that may have changed since it was read
    stamps: NDArray[np.int64]


class _Recent:
    """The contents of many files, which hold in this process for as long as looking again costs."""

    def __init__(self, paths: Sequence[str], contents: FileContents) -> None:
        self._rows = {path: row for row, path in enumerate(paths)}
        self._contents = contents
        self._looked_s = time.monotonic()

    def contents_of(self, paths: Sequence[str]) -> FileContents | None:
        """Those of some of the files; None where they are too old or others are asked for."""
        age_s = time.monotonic() - self._looked_s
        if age_s > SECONDS_PER_FILE * len(self._rows) or not paths:
            return None
        rows = [self._rows.get(path, -1) for path in paths]
        if -1 in rows:
            return None
        return FileContents(self._contents.digests[rows], self._contents.stamps[rows])


_RECENT: dict[Path, _Recent] = {}


class _Task(NamedTuple):
    """Something with digests: a file, or a table of which each row has one."""

    key: bytes
    path: str
    cells: Callable[[], Iterable[bytes | None]] | None  # None = the file is one content


_NO_FILE = Stamp(-1, 0, 0, 0)


def digest_of(data: bytes) -> bytes:
    """The digest of a content."""
    return hashlib.sha256(data).hexdigest()[:DIGITS].encode()


def digest_of_all(digests: Iterable[bytes | str] | Digests) -> str:
    """A digest of digests or texts in their order, `DIGITS` hex digits."""
    joined = hashlib.sha256()
    if isinstance(digests, np.ndarray):
        for start in range(0, len(digests), _BATCH):
            joined.update(_with_lengths(digests[start : start + _BATCH]))
        return joined.hexdigest()[:DIGITS]
    for item in digests:
        data = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else item
        joined.update(len(data).to_bytes(4, "big") + data)
    return joined.hexdigest()[:DIGITS]


def _with_lengths(digests: Digests) -> bytes:
    """Each of the digests after its length, in one piece."""
    lengths = np.strings.str_len(digests).astype(">u4")
    digits = np.ascontiguousarray(digests).view(np.uint8).reshape(len(digests), -1)
    both = np.concatenate([lengths.view(np.uint8).reshape(-1, 4), digits], axis=1)
    used: bytes = both[np.arange(both.shape[1]) < 4 + lengths[:, None]].tobytes()
    return used


class ContentDigests:
    """Digests of the files below `root`, remembered under `home`."""

    def __init__(self, home: Path, root: Path) -> None:
        self.root = root
        self.folder = home / "contents" / short(["contents", VERSION, os.fspath(root.absolute())])

    def of_files(self, paths: Sequence[str], what: str, progress: Progress) -> Digests:
        """Digests [n] of files, empty where there is none that can be read.

        `paths` are relative to the root. Files that changed are read side by side. Raises UserError
        for a file that changes while it is read.
        """
        return self.files(paths, what, progress).digests

    def files(self, paths: Sequence[str], what: str, progress: Progress) -> FileContents:
        """The same, with the stamps of the files when they were read."""
        recent = _RECENT.get(self.folder)
        if recent is not None and (found := recent.contents_of(paths)) is not None:
            return found
        keys = [os.fsencode(path) for path in paths]
        digests, stamps = self._of(
            keys, paths, lambda i: _Task(keys[i], paths[i], None), what, progress
        )
        contents = FileContents(np.array(digests, f"S{DIGITS}"), stamps)
        if len(paths) > FEW:
            _RECENT[self.folder] = _Recent(paths, contents)
        return contents

    def of_tables(
        self,
        cells: Mapping[tuple[str, str], Callable[[], Iterable[bytes | None]]],
        what: str,
        progress: Progress,
    ) -> dict[tuple[str, str], Digests]:
        """Digests of each row of tables, by (path of the file, column).

        The functions read the contents of the rows in their order, None where a row has none; they
        are called where the file has changed.
        """
        tasks = [
            _Task(os.fsencode(f"{path}\0{column}"), path, read)
            for (path, column), read in cells.items()
        ]
        found, _ = self._of(
            [task.key for task in tasks],
            [task.path for task in tasks],
            tasks.__getitem__,
            what,
            progress,
        )
        return {
            key: np.frombuffer(digests.replace(b"-", b"\0"), f"S{DIGITS}")
            for key, digests in zip(cells, found, strict=True)
        }

    # -- looking

    def _of(
        self,
        keys: Sequence[bytes],
        paths: Sequence[str],
        task: Callable[[int], _Task],
        what: str,
        progress: Progress,
    ) -> tuple[list[bytes], NDArray[np.int64]]:
        stamps = _stamps(self.root, paths)
        known = self._known(keys, stamps)
        if None in known:
            with folder_lock(self.folder):
                known = self._known(keys, stamps)  # another process may have read them meanwhile
                todo = [i for i, digests in enumerate(known) if digests is None]
                if todo:
                    tasks = [(i, task(i)) for i in todo]
                    self._read(tasks, known, stamps, what, progress)
        return [digests or b"" for digests in known], stamps

    def _read(
        self,
        tasks: Sequence[tuple[int, _Task]],
        known: list[bytes | None],
        stamps: NDArray[np.int64],
        what: str,
        progress: Progress,
    ) -> None:
        fresh: dict[bytes, tuple[Stamp, bytes]] = {}
        saved = time.monotonic()
        pause = SAVE_SECONDS
        total = len(tasks)
        keys = {i: task.key for i, task in tasks}
        done = 0
        progress(what, 0, total)
        try:
            for batch in _side_by_side(self.root, tasks):
                for i, stamp, digests in batch:
                    known[i] = digests
                    stamps[i] = stamp
                    if stamp != _NO_FILE:
                        fresh[keys[i]] = (stamp, digests)
                done += len(batch)
                progress(what, done, total)
                if time.monotonic() - saved > pause:
                    started = time.monotonic()
                    self._save(fresh)
                    fresh.clear()
                    saved = time.monotonic()
                    pause = max(SAVE_SECONDS, 20 * (saved - started))
        finally:
            self._save(fresh)

    # -- what is remembered

    @property
    def _path(self) -> Path:
        return self.folder / "digests.arrow"

    @property
    def _name(self) -> str:
        return f"{self.folder.name} {self._path.name}"

    def _stored(self) -> Any:
        """The table of what is remembered; None where there is none, or it is damaged."""
        import pyarrow as pa

        if not self._path.exists():
            return None
        try:
            content = mapped(self._path, self._name, "the files are read again")
            with pa.ipc.open_file(pa.py_buffer(content)) as opened:
                table = opened.read_all()
        except (DamagedFileError, OSError, pa.ArrowException) as error:
            told(error)
            self._path.unlink(missing_ok=True)
            return None
        return table if table.schema.equals(_schema()) else None

    def _known(self, keys: Sequence[bytes], stamps: NDArray[np.int64]) -> list[bytes | None]:
        """What is remembered of files with these stamps [n, 4]; None where they are to be read."""
        import pyarrow.compute as pc

        absent = (stamps == _NO_FILE).all(axis=1)
        table = self._stored()
        if table is None or not len(table):
            return [b"" if no_file else None for no_file in absent.tolist()]
        asked = of_bytes(keys)
        if len(asked) == len(table) and table["key"].combine_chunks().equals(asked):
            rows = np.arange(len(keys))
        else:
            found = pc.index_in(asked, table["key"])
            rows = integers(found)
        stored = np.stack([integers(table[name])[rows] for name in Stamp._fields], axis=1)
        same = (rows >= 0) & (stored == stamps).all(axis=1)
        digests = table["digests"].take(of_integers(np.where(same, rows, 0)))
        known: list[bytes | None] = digests.to_pylist()
        for row in np.flatnonzero(~same).tolist():
            known[row] = None
        for row in np.flatnonzero(absent).tolist():
            known[row] = b""
        return known

    def _save(self, fresh: Mapping[bytes, tuple[Stamp, bytes]]) -> None:
        """Add to what is remembered, or replace it."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if not fresh:
            return
        columns: dict[str, list[Any]] = {"key": list(fresh)}
        for position, name in enumerate(Stamp._fields):
            columns[name] = [stamp[position] for stamp, _ in fresh.values()]
        columns["digests"] = [digests for _, digests in fresh.values()]
        table = pa.table(columns, schema=_schema())
        stored = self._stored()
        if stored is not None:
            others = pc.invert(pc.is_in(stored["key"], table["key"]))
            table = pa.concat_tables([stored.filter(others), table])
        table = table.sort_by("key").combine_chunks()
        with atomic_write(self._path) as path:
            with (
                pa.OSFile(str(path), "wb") as sink,
                pa.ipc.new_file(sink, table.schema) as writer,
            ):
                writer.write_table(table)
            seal(path, self._name)


def _schema() -> Any:
    import pyarrow as pa

    numbers = [(name, pa.int64()) for name in Stamp._fields]
    # large: the digests of a table's rows stand one after the other
    return pa.schema([("key", pa.binary()), *numbers, ("digests", pa.large_binary())])


# -- looking at files


def stamp_of(status: os.stat_result) -> Stamp:
    """The stamp of a file's status."""
    return Stamp(*_numbers(status))


def _stamps(root: Path, paths: Sequence[str]) -> NDArray[np.int64]:
    """Stamps [n, 4] of files; that of `_NO_FILE` where there is none."""
    base = os.path.join(os.fspath(root), "")

    def look(some: Sequence[str]) -> list[int]:
        numbers: list[int] = []
        for path in some:
            try:
                numbers += _numbers(os.stat(base + path))
            except (OSError, ValueError):
                numbers += _NO_FILE
        return numbers

    first = paths[:256]
    started = time.perf_counter()
    numbers = look(first)
    slow = time.perf_counter() - started > _SLOW_STAT_SECONDS * len(first)
    rest = paths[len(first) :]
    if rest and slow:
        with ThreadPoolExecutor(32) as pool:
            for some in pool.map(look, [rest[i : i + 256] for i in range(0, len(rest), 256)]):
                numbers += some
    else:
        numbers += look(rest)
    return np.array(numbers, np.int64).reshape(-1, len(Stamp._fields))


def _numbers(status: os.stat_result) -> tuple[int, int, int, int]:
    inode = status.st_ino & (2**63 - 1)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, inode


_Read = list[tuple[int, Stamp, bytes]]


def _side_by_side(root: Path, tasks: Sequence[tuple[int, _Task]]) -> Iterator[_Read]:
    """Batches of (number, stamp, digests), as they come."""

    def read(some: Sequence[tuple[int, _Task]]) -> _Read:
        return [(number, *_read(root, task)) for number, task in some]

    size = _TASK if len(tasks) > _TASK and tasks[0][1].cells is None else 1
    batches = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    if len(batches) == 1 or tasks[0][1].cells is not None:  # a table is read in large pieces
        yield from map(read, batches)
        return
    with ThreadPoolExecutor(max(4, 2 * cores())) as pool:  # hashing leaves Python's lock
        futures: list[Future[_Read]] = [pool.submit(read, batch) for batch in batches]
        try:
            for future in futures:
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _read(root: Path, task: _Task) -> tuple[Stamp, bytes]:
    """The stamp of a file as it was read, which says nothing where it may have changed since."""
    path = os.path.join(os.fspath(root), task.path)
    for _ in range(_TRIES):
        looked = time.time()
        try:
            before, digests, after = (
                _of_file(path) if task.cells is None else _of_cells(path, task.cells())
            )
        except (OSError, ValueError):
            return _NO_FILE, b""
        if before == after:
            newest = max(before.changed_ns, before.entry_changed_ns) / 1e9
            fresh = abs(looked - newest) < TICK_SECONDS
            return (before._replace(size=-2) if fresh else before), digests
    raise UserError(
        f"{path} changes while it is read; run the same again when nothing writes to it"
    )


def _of_file(path: str) -> tuple[Stamp, bytes, Stamp]:
    """(stamp before, digest, stamp after)."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):  # a pipe, which would be waited for
            raise NoFileError(path, status.st_mode)
        before = stamp_of(status)
        size = min(before.size + 1, _BLOCK)  # one more, so that the end shows with the first block
        digest = hashlib.sha256()
        read = 0
        while block := os.read(number, size):
            digest.update(block)
            read += len(block)
            if read == before.size and len(block) < size:
                break
        after = stamp_of(os.fstat(number))
    finally:
        os.close(number)
    return before, digest.hexdigest()[:DIGITS].encode(), after


def _of_cells(path: str, cells: Iterable[bytes | None]) -> tuple[Stamp, bytes, Stamp]:
    """(stamp before, digests one after the other, stamp after).

    The digest of a row without a content is dashes.
    """
    before = stamp_of(os.stat(path))
    digests = b"".join(b"-" * DIGITS if cell is None else digest_of(cell) for cell in cells)
    return before, digests, stamp_of(os.stat(path))
