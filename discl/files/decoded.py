"""Photos at training size: decoded once from the user's files into a memory map.

A map is a folder: `pixels` (raw uint8, one photo after the other, as listed), `stamps` (size and
time of each file when it was read), `log.jsonl` (which chunks are done, and which of their photos
could not be read) and, last, `done.json`. The log is appended after the pixels are on the disk,
every few seconds, so that a kill or a power cut costs seconds of work.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.interfaces import Ints, Photos, Progress
from discl.files.disk import clear_disk_errors, folder_lock, write_text
from discl.files.photos import decode_square
from discl.files.processes import as_worker, workers
from discl.files.sources import format_bytes

VERSION = 1  # raised when the same file gives other pixels
CHUNK_BYTES = 4 << 20
CHUNK_PHOTOS = 64
FEW = 512  # photos that are decoded sooner than processes start
CHECKED = 1000  # files whose size and time are compared whenever a map is opened
LOG_SECONDS = 2.0  # between two writes of the log

Unreadable = dict[int, str]  # position -> why the photo could not be read


class PhotoFiles(Protocol):
    """Source of the bytes of photos; sent to other processes by pickle."""

    def read(self, ref: str) -> bytes:
        """The bytes of the image file."""

    def stamp(self, ref: str) -> tuple[int, int]:
        """(size, time in ns) of the file; raises OSError where there is none."""


class OpenedPhotos(NamedTuple):
    """A complete map."""

    rows: Ints  # [n], position in the list of photos of each row of `pixels`
    pixels: Photos  # [n, side, side, 3], a memory map
    unreadable: dict[str, str]  # photo -> why it is not among them


@dataclass(frozen=True)
class DecodedPhotos:
    """The map of the photos `refs`, in that order, under `home`.

    Its name holds all it depends on but the contents of the files.
    """

    home: Path
    origin: str  # where the files lie
    refs: NDArray[np.str_]
    side: int
    files: PhotoFiles

    @cached_property
    def folder(self) -> Path:
        listed = hashlib.sha256("\n".join(self.refs.tolist()).encode()).hexdigest()
        return self.home / short(["decoded", VERSION, self.origin, self.side, listed])

    @property
    def bytes(self) -> int:
        """Of the whole map."""
        return len(self.refs) * self._row_bytes

    @property
    def missing_bytes(self) -> int:
        """Still to be written."""
        pixels = self.folder / "pixels"
        written = pixels.stat().st_blocks * 512 if pixels.exists() else 0
        return max(0, self.bytes - written)

    def open(self) -> OpenedPhotos | None:
        """The map, where it is complete and the files have not changed; None otherwise.

        Reads no photo.
        """
        try:
            done = json.loads((self.folder / "done.json").read_text("utf-8"))
        except FileNotFoundError:
            return None
        unreadable = {int(position): str(why) for position, why in done["unreadable"].items()}
        sample = np.linspace(0, len(self.refs) - 1, min(CHECKED, len(self.refs)), dtype=int)
        if self._changed(sorted({*sample.tolist(), *unreadable})):
            return None
        rows, _ = _compact(len(self.refs), unreadable)
        shape = (len(rows), self.side, self.side, 3)
        pixels: Photos = np.empty(shape, np.uint8)
        if len(rows):
            pixels = np.memmap(self.folder / "pixels", np.uint8, "r", shape=shape)
        reasons = {str(self.refs[position]): why for position, why in sorted(unreadable.items())}
        return OpenedPhotos(rows, pixels, reasons)

    def build(self, what: str, progress: Progress, processes: int = 0) -> OpenedPhotos:
        """The map; made or completed where it is not complete.

        `processes` decode; 0 = as many as are faster. Raises UserError where the files change
        meanwhile, and DiskError where the disk fails.
        """
        with folder_lock(self.folder), clear_disk_errors("decoding photos", self.folder):
            opened = self.open()
            if opened is None:
                few = len(self.refs) <= FEW
                self._complete(what, progress, processes or (1 if few else workers()))
                opened = self.open()
            if opened is None:
                raise UserError(
                    f"{what} changed while they were decoded; run the same again when nothing"
                    f" writes to {self.origin}"
                )
            return opened

    # -- making it

    def _complete(self, what: str, progress: Progress, processes: int) -> None:
        done = self._logged()
        done -= self._outdated(done)
        (self.folder / "done.json").unlink(missing_ok=True)
        for name, row_bytes in (("pixels", self._row_bytes), ("stamps", 16)):
            with (self.folder / name).open("ab") as opened:
                opened.truncate(len(self.refs) * row_bytes)
        todo = [
            (start, self.refs[start : start + self._chunk].tolist())
            for start in range(0, len(self.refs), self._chunk)
            if start not in done
        ]
        total = len(self.refs)
        finished = total - sum(len(refs) for _, refs in todo)
        progress(what, finished, total)
        decode = partial(_decode_chunk, self.folder, self.side, self.files)
        with _ChunkLog(self.folder) as log:
            for start, unreadable in _in_processes(decode, todo, processes):
                log.add({"chunk": start, "unreadable": unreadable})
                finished += len(self.refs[start : start + self._chunk])
                progress(what, finished, total)
        self._finish()

    def _finish(self) -> None:
        """Fill the positions of unreadable photos from the end.

        Repeating it changes nothing: what is copied stays where it was.
        """
        unreadable: Unreadable = {}
        for _, chunk_unreadable in sorted(self._entries().items()):
            unreadable |= chunk_unreadable
        _, moves = _compact(len(self.refs), unreadable)
        with (self.folder / "pixels").open("r+b") as opened:
            number = opened.fileno()
            for hole, source in moves:
                row = os.pread(number, self._row_bytes, source * self._row_bytes)
                os.pwrite(number, row, hole * self._row_bytes)
            os.fsync(number)
        listed = (f"{self.refs[position]}\t{why}\n" for position, why in sorted(unreadable.items()))
        write_text(self.folder / "unreadable.txt", "".join(listed))
        done = {
            "of": self.origin,
            "photos": len(self.refs),
            "side": self.side,
            "unreadable": unreadable,
        }
        write_text(self.folder / "done.json", json.dumps(done))

    @property
    def _row_bytes(self) -> int:
        return self.side * self.side * 3

    @property
    def _chunk(self) -> int:
        """Photos decoded at a time."""
        return max(1, min(CHUNK_PHOTOS, CHUNK_BYTES // self._row_bytes))

    # -- what is done

    def _entries(self) -> dict[int, Unreadable]:
        """Start of each chunk in the log -> its unreadable photos; the last entry counts."""
        entries: dict[int, Unreadable] = {}
        path = self.folder / "log.jsonl"
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            try:
                entry = json.loads(line)
                reasons = entry["unreadable"].items()
                entries[int(entry["chunk"])] = {int(key): str(why) for key, why in reasons}
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # the line that a kill cut short; its chunk is made again
        return entries

    def _logged(self) -> set[int]:
        has_arrays = (self.folder / "pixels").exists() and (self.folder / "stamps").exists()
        return set(self._entries()) if has_arrays else set()

    def _outdated(self, done: Iterable[int]) -> set[int]:
        """Chunks with a file that has changed.

        Looks at every file, but only where something is to be made anyway.
        """
        positions: list[int] = []
        for start in sorted(done):
            positions += range(start, min(start + self._chunk, len(self.refs)))
        return {position // self._chunk * self._chunk for position in self._changed(positions)}

    def _changed(self, positions: Sequence[int]) -> list[int]:
        if not positions:
            return []
        stamps = np.fromfile(self.folder / "stamps", np.int64).reshape(-1, 2)
        return [
            position
            for position in positions
            if _stamp(self.files, str(self.refs[position])) != tuple(stamps[position].tolist())
        ]


class _ChunkLog:
    """Lines of the log, held back until the pixels of their chunks are on the disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: list[str] = []
        self._written_s = time.monotonic()

    def __enter__(self) -> _ChunkLog:
        return self

    def __exit__(self, *why: object) -> None:
        self._write()

    def add(self, entry: dict[str, Any]) -> None:
        self._held.append(json.dumps(entry) + "\n")
        if time.monotonic() - self._written_s > LOG_SECONDS:
            self._write()

    def _write(self) -> None:
        for name in ("pixels", "stamps"):
            with (self._folder / name).open("rb") as opened:
                os.fsync(opened.fileno())
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as log:
            # a line that was cut short must not spoil the next one
            log.write("\n" + "".join(self._held))
            log.flush()
            os.fsync(log.fileno())
        self._held.clear()
        self._written_s = time.monotonic()


def check_room(maps: Iterable[DecodedPhotos], home: Path) -> int:
    """Bytes the maps still need; raises UserError where the disk does not have them."""
    needed = sum(photos.missing_bytes for photos in maps)
    existing = home
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"the decoded photos need {format_bytes(needed)} at {home}, where {format_bytes(free)}"
            " are free; free some space, point DISCL_DATA at a larger disk, or lower dataset.side"
        )
    return needed


def _decode_chunk(
    folder: Path, side: int, files: PhotoFiles, chunk: tuple[int, list[str]]
) -> tuple[int, Unreadable]:
    """Write the photos of a chunk; returns (start of the chunk, its unreadable photos)."""
    start, refs = chunk
    pixels = np.zeros((len(refs), side, side, 3), np.uint8)
    stamps = np.zeros((len(refs), 2), np.int64)
    unreadable: Unreadable = {}
    for i, ref in enumerate(refs):
        stamps[i] = _stamp(files, ref)  # before it is read: a change in between is then noticed
        try:
            pixels[i] = decode_square(files.read(ref), ref, side)
        except UserError as error:
            unreadable[start + i] = str(error)
        except OSError as error:
            unreadable[start + i] = f"{ref} cannot be read ({error.strerror or error})"
    for name, array in (("pixels", pixels), ("stamps", stamps)):
        with (folder / name).open("r+b") as opened:
            opened.seek(start * array[0].nbytes)
            opened.write(array.tobytes())
    return start, unreadable


def _stamp(files: PhotoFiles, ref: str) -> tuple[int, int]:
    try:
        return files.stamp(ref)
    except OSError:
        return (-1, -1)


def _compact(count: int, holes: Iterable[int]) -> tuple[Ints, list[tuple[int, int]]]:
    """(position of the photo in each row of a map without holes, moves).

    A move is (hole, row that is copied into it).
    """
    missing = set(holes)
    kept = count - len(missing)
    low = sorted(position for position in missing if position < kept)
    high = [position for position in range(kept, count) if position not in missing]
    rows = np.arange(kept)
    moves = list(zip(low, high, strict=True))
    for hole, source in moves:
        rows[hole] = source
    return rows, moves


def _in_processes(
    work: Callable[[Any], Any], items: Sequence[Any], processes: int
) -> Iterator[Any]:
    """Results as they come, in any order."""
    if min(processes, len(items)) <= 1:
        yield from map(work, items)
        return
    waiting = iter(items)
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit our threads' locks
    with ProcessPoolExecutor(min(processes, len(items)), spawn, as_worker) as pool:
        running: set[Future[Any]] = set()
        try:
            while True:
                free = range(2 * processes - len(running))
                for _, item in zip(free, waiting, strict=False):
                    running.add(pool.submit(work, item))
                if not running:
                    return
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        except BrokenProcessPool as error:
            raise UserError(
                "a process that decoded photos died, most often for lack of memory; set"
                " DISCL_WORKERS to fewer; the same command goes on"
            ) from error
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
