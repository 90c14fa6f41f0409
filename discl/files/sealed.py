"""Stored arrays and archives with a seal: the one place where they are written and read.

A seal stands behind the content of a file, where readers of the format do not look: a digest (XXH3,
64 bits) of each block of a mebibyte, a digest of what the file is, the length of the content, and a
digest of all that. What is damaged is made again where that is possible, and refused by name where
it is not. Files without a seal, of earlier versions, are taken where their length is right.

The digest runs at the speed of memory, so a file is checked when it is opened, once in a process
while its stamp stays the same. Arrays above `EAGER_BYTES` are checked block by block, each when
something is first read from it.
"""

from __future__ import annotations

import mmap
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from discl.core.plain_files import open_file
from discl.core.seals import DamagedFileError, damaged
from discl.core.text import echo
from discl.files.disk import atomic_write

BLOCK = 1 << 20
EAGER_BYTES = 2 << 30
MAGIC = b"DISCLSL1"
AGAIN = "it is made again"

_FOOTER = struct.Struct("<QQQQ8s")  # what it is, bytes of content, blocks, digest, MAGIC
_ERRORS = (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error)
Stamp = tuple[int, int, int, int]
_CHECKED: dict[tuple[str, str], tuple[Stamp, int]] = {}  # (path, what it is) -> stamp, bytes


@dataclass(frozen=True)
class Seal:
    """The seal of a file."""

    bytes: int  # of the content
    digests: NDArray[np.uint64]  # [blocks]


def seal(path: Path, what: str) -> None:
    """Add the seal to a file; `what` it is tells it from its siblings."""
    size = path.stat().st_size
    with open_file(path, "r+b") as opened:
        digests = _digests(opened.fileno(), size)
        blocks = np.array(digests, "<u8").tobytes()
        numbers = (xxh3_64_intdigest(what.encode()), size, len(digests))
        ours = xxh3_64_intdigest(blocks + repr(numbers).encode())
        opened.seek(size)
        opened.write(blocks + _FOOTER.pack(*numbers, ours, MAGIC))


def seal_of(path: Path, what: str | None, way_out: str) -> Seal | None:
    """The seal of a file, its content not looked at; None where it has none.

    Without `what`, the seal may be that of any file.

    Raises DamagedFileError where the file cannot be read, the seal is damaged, or is that of
    another file.
    """
    try:
        with open_file(path, "rb") as opened:
            end = opened.seek(0, os.SEEK_END)
            if end == 0:
                raise damaged(path, "is empty", way_out)
            opened.seek(max(0, end - _FOOTER.size))
            footer = opened.read()
            if len(footer) < _FOOTER.size or not footer.endswith(MAGIC):
                return None
            of, size, count, ours, _ = _FOOTER.unpack(footer)
            if size + 8 * count + _FOOTER.size != end:
                raise damaged(path, "has another length than was written", way_out)
            opened.seek(size)
            blocks = opened.read(8 * count)
    except OSError as error:
        raise damaged(path, f"cannot be read ({error.strerror or error})", way_out) from error
    if xxh3_64_intdigest(blocks + repr((of, size, count)).encode()) != ours:
        raise damaged(path, "is damaged (its seal is)", way_out)
    if what is not None and of != xxh3_64_intdigest(what.encode()):
        raise damaged(path, "lies in the place of another file", way_out)
    return Seal(size, np.frombuffer(blocks, "<u8"))


def check(path: Path, what: str, way_out: str) -> int | None:
    """Bytes of content of a sealed file, all of which were compared; None where it has no seal.

    A file is read once in a process while its stamp stays the same. Raises DamagedFileError where
    something changed.
    """
    stamp = _stamp(path)
    key = (str(path), what)
    known = _CHECKED.get(key)
    if known is not None and known[0] == stamp:
        return known[1]
    found = seal_of(path, what, way_out)
    if found is None:
        return None
    _compare(path, found, way_out)
    if stamp is not None:
        _CHECKED[key] = (stamp, found.bytes)
    return found.bytes


def check_length(path: Path, what: str, way_out: str, expected: int) -> None:
    """Raise DamagedFileError where the content of a file has another length in bytes."""
    found = seal_of(path, what, way_out)
    length = path.stat().st_size if found is None else found.bytes
    if length != expected:
        raise damaged(path, f"has {length:,} bytes and not {expected:,}", way_out)


def mapped(path: Path, what: str, way_out: str) -> memoryview:
    """The content of a file, mapped from the disk and checked; all of it where it has no seal.

    Raises DamagedFileError where it is not as it was written.
    """
    size = check(path, what, way_out)
    with open_file(path, "rb") as opened:
        return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))[:size]


def recheck(path: Path, way_out: str) -> bool:
    """Read a file of whatever kind again, and compare it with its seal; False where it has none.

    Raises DamagedFileError where something changed.
    """
    found = seal_of(path, None, way_out)
    if found is not None:
        _compare(path, found, way_out)
    return found is not None


def _compare(path: Path, found: Seal, way_out: str) -> None:
    with open_file(path, "rb") as opened:
        digests = _digests(opened.fileno(), found.bytes)
    if not np.array_equal(np.array(digests, "<u8"), found.digests):
        raise damaged(path, "is damaged (its content is not what was sealed)", way_out)


def _digests(number: int, size: int) -> list[int]:
    """Digest of each block of the first `size` bytes of an open file."""
    if not size:
        return []
    with mmap.mmap(number, size, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
        return [xxh3_64_intdigest(view[start : start + BLOCK]) for start in range(0, size, BLOCK)]


def _stamp(path: Path) -> Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


# ---------------------------------------------------------------- arrays


class SealedArray(np.memmap):  # type: ignore[type-arg]
    """An array mapped from the disk whose blocks are checked when they are first read by index."""

    _guard: _Guard | None = None

    def __array_finalize__(self, made_from: Any) -> None:
        super().__array_finalize__(made_from)
        self._guard = None  # of views and copies: what they hold was checked when they were made

    def __getitem__(self, index: Any) -> Any:
        if self._guard is not None:
            self._guard.check(np.arange(len(self))[index[0] if isinstance(index, tuple) else index])
        return super().__getitem__(index)


class _Guard:
    """Which blocks of a mapped file were compared with their seal."""

    def __init__(self, path: Path, found: Seal, offset: int, row_bytes: int, way_out: str) -> None:
        self._path = path
        self._found = found
        self._offset = offset
        self._row_bytes = row_bytes
        self._way_out = way_out
        # shared with processes that are forked, so that each block is compared once
        count = len(found.digests)
        self._is_checked = np.frombuffer(mmap.mmap(-1, max(1, count)), np.bool_, count)

    def check(self, rows: Any) -> None:
        starts = self._offset + np.unique(rows) * self._row_bytes
        first, last = starts // BLOCK, (starts + self._row_bytes - 1) // BLOCK
        spans = [first + step for step in range(int((last - first).max(initial=0)) + 1)]
        blocks = np.unique(np.concatenate([span[span <= last] for span in spans]))
        blocks = blocks[~self._is_checked[blocks]]
        if not len(blocks):
            return
        with open_file(self._path, "rb") as opened:
            for block in blocks.tolist():
                start = block * BLOCK
                length = min(BLOCK, self._found.bytes - start)
                data = os.pread(opened.fileno(), length, start)
                if xxh3_64_intdigest(data) != int(self._found.digests[block]):
                    self._path.unlink(missing_ok=True)
                    raise damaged(self._path, "is damaged; it was removed", self._way_out)
                self._is_checked[block] = True


def save_array(path: Path, array: Any, what: str = "") -> None:
    """Write an array [...] as a sealed .npy file, whole or not at all."""
    with atomic_write(path) as tmp:
        with tmp.open("wb") as opened:
            np.save(opened, array, allow_pickle=False)
        seal(tmp, what or path.name)


def load_array(
    path: Path,
    way_out: str,
    what: str = "",
    rows: int | None = None,
    dtype: Any = None,
) -> Any:
    """A stored array [n, ...], mapped from the disk.

    `rows` and `dtype` are what is expected of it, where that is known. Raises DamagedFileError for
    a file that is missing, empty, cut off, changed, another's, or of another shape.
    """
    what = what or path.name
    found = seal_of(path, what, way_out)
    if not _is_large(found):
        check(path, what, way_out)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except _ERRORS as error:
        raise damaged(path, f"cannot be read ({_words(error)})", way_out) from error
    if not isinstance(array, np.memmap):
        raise damaged(path, "is no array", way_out)
    if found is None and array.offset + array.nbytes != path.stat().st_size:
        raise damaged(path, "has another length than was written", way_out)
    if rows is not None and array.shape[:1] != (rows,):
        raise damaged(path, f"has the shape {array.shape} and not {rows} rows", way_out)
    if dtype is not None and array.dtype != np.dtype(dtype):
        raise damaged(path, f"holds {array.dtype} and not {np.dtype(dtype)}", way_out)
    return _guarded(array, path, found, way_out)


def load_bytes(path: Path, way_out: str, what: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The beginning of a file as an array of bytes of this shape [n, ...], mapped from the disk.

    Raises DamagedFileError as `load_array` does.
    """
    found = seal_of(path, what, way_out)
    if not _is_large(found):
        check(path, what, way_out)
    if not np.prod(shape):
        return np.empty(shape, np.uint8)
    try:
        array = np.memmap(path, np.uint8, "r", shape=shape)
    except _ERRORS as error:
        raise damaged(path, f"cannot be read ({_words(error)})", way_out) from error
    guarded: NDArray[np.uint8] = _guarded(array, path, found, way_out)
    return guarded


def _is_large(found: Seal | None) -> bool:
    return found is not None and found.bytes > EAGER_BYTES


def _guarded(array: Any, path: Path, found: Seal | None, way_out: str) -> Any:
    """The array itself, or one that checks what is read from it."""
    if found is None or not _is_large(found):
        return np.asarray(array)  # plain ones are indexed faster than those of np.memmap
    guarded = array.view(SealedArray)
    row_bytes = array.nbytes // max(1, len(array))
    guarded._guard = _Guard(path, found, array.offset, row_bytes, way_out)
    return guarded


def cached_array(
    path: Path,
    make: Callable[[], None],
    what: str = "",
    rows: int | None = None,
    dtype: Any = None,
) -> Any:
    """A stored array [n, ...] that `make` can write again, which it does where it is damaged.

    That is told. Raises DamagedFileError where it is damaged right after it was made.
    """
    array = whole_array(path, what, rows, dtype)
    if array is not None:
        return array
    make()
    return load_array(path, "the disk does not keep what is written; use another", what)


def whole_array(path: Path, what: str = "", rows: int | None = None, dtype: Any = None) -> Any:
    """A stored array [n, ...]; None where it is to be made.

    That it is damaged, and so removed, is told.
    """
    if path.exists():
        try:
            return load_array(path, AGAIN, what, rows, dtype)
        except DamagedFileError as error:
            told(error)
            path.unlink(missing_ok=True)
    return None


# ---------------------------------------------------------------- archives


def save_archive(path: Path, arrays: Mapping[str, Any], what: str) -> None:
    """Write arrays [...] by name as a sealed .npz file, whole or not at all."""
    with atomic_write(path) as tmp:
        with tmp.open("wb") as opened:
            np.savez_compressed(opened, allow_pickle=False, **arrays)
        seal(tmp, what)


def load_archive(path: Path, way_out: str, what: str) -> dict[str, Any]:
    """The arrays [...] of an .npz file by name.

    Raises DamagedFileError for a file that is missing, empty, cut off or changed.
    """
    try:
        if path.stat().st_size == 0:
            raise damaged(path, "is empty", way_out)
        check(path, what, way_out)
        # numpy leaves a file open that it cannot read
        with open_file(path, "rb") as opened, np.load(opened, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (*_ERRORS, AttributeError, NotImplementedError, struct.error, MemoryError) as error:
        raise damaged(path, f"cannot be read ({_words(error)})", way_out) from error


def told(error: BaseException) -> None:
    """Say in a line that something damaged is made again."""
    echo(error, err=True)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
