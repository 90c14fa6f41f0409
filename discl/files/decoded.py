"""Photos at training size: decoded once from the user's files into a memory map.

A map is a folder that is named by the contents of its photos: `pixels` (raw uint8, one photo after
the other, as listed), `small` (a small picture of each), `contents` (the digest of each),
`log.jsonl` (which chunks are done, and which of their photos could not be read) and, last,
`done.json`. The log is appended after the pixels are on the disk, every few seconds, so that a kill
or a power cut costs seconds of work.

Photos that another map holds are copied from there, so that a folder in which some files changed or
came is decoded in a moment. A map never changes once it is done: a run goes on with the photos that
it began with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.interfaces import Ints, Photos, Progress
from discl.core.plain_files import open_file, parsed_json, plain_text
from discl.core.seals import DamagedFileError, damaged, read_sealed, sealed_text
from discl.files.contents import DIGITS, Digests
from discl.files.disk import clear_disk_errors, flush, folder_lock, write_text
from discl.files.formats.damage import lacks_end
from discl.files.photos import SMALL, small_pictures
from discl.files.processes import in_processes, workers
from discl.files.sealed import check, check_length, load_bytes, seal, told
from discl.files.sources import format_bytes

VERSION = 3  # raised when the same file gives other pixels
CHUNK_BYTES = 4 << 20
CHUNK_PHOTOS = 64
FEW = 512  # photos that are decoded sooner than processes start
LOG_SECONDS = 2.0  # between two writes of the log

_DIGEST = np.dtype(f"S{DIGITS}")
Unreadable = dict[int, str]  # position -> why the photo could not be read


class PhotoFiles(Protocol):
    """Source of photos; sent to other processes by pickle."""

    @property
    def how(self) -> str:
        """What pixels depend on beside the contents of files, such as how deep grey is scaled."""

    def read(self, ref: str) -> bytes:
        """The bytes of the image file; raises OSError where it cannot be read."""

    def stamp(self, ref: str) -> tuple[int, ...]:
        """As in `contents.Stamp`, of the file a photo lies in; OSError where there is none."""

    def digest(self, ref: str, data: bytes) -> bytes:
        """The digest of a photo's content, where `data` is its file's bytes."""

    def square(self, ref: str, data: bytes, side: int) -> Photos:
        """uint8 [side, side, 3]; raises UserError where `data` is no image."""


class OpenedPhotos(NamedTuple):
    """A complete map."""

    rows: Ints  # [n], position in the list of photos of each row of `pixels`
    pixels: Photos  # [n, side, side, 3], a memory map
    unreadable: dict[str, str]  # photo -> why it is not among them
    cut_off: tuple[str, ...] = ()  # photos whose files lack their end


@dataclass(frozen=True)
class DecodedPhotos:
    """The map of the photos `refs`, in that order, under `home`.

    Its name holds all that its pixels depend on. They are read in the order `reading`, which is
    faster where several photos lie in one file.
    """

    home: Path
    origin: str  # where the files lie
    refs: NDArray[np.str_]
    contents: Digests  # [n]; empty where the file cannot be read
    side: int
    files: PhotoFiles
    reading: Ints | None = None  # [n], positions; None = as listed
    # [n, 4], of the files when their digests were made; None = digests are compared once more
    stamps: NDArray[np.int64] | None = None

    @cached_property
    def folder(self) -> Path:
        contents = hashlib.sha256(self._digests.tobytes()).hexdigest()
        return self.home / short(["decoded", VERSION, self.side, self.files.how, contents])

    @cached_property
    def _digests(self) -> Digests:
        return np.asarray(self.contents, _DIGEST)

    @cached_property
    def _place(self) -> str:
        """Equal for maps of the same photos before and after some of their files changed."""
        listed = hashlib.sha256("\n".join(self.refs.tolist()).encode()).hexdigest()
        return short([self.origin, self.side, self.files.how, listed])

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
        """The map, where it is complete; None otherwise. Reads no photo."""
        done = _done(self.folder)
        if done is None:
            return None
        try:
            return self._opened(done)
        except DamagedFileError as error:
            told(error)
            for name in ("done.json", "log.jsonl"):  # without them nothing counts as decoded
                (self.folder / name).unlink(missing_ok=True)
            return None

    def _opened(self, done: Mapping[str, Any]) -> OpenedPhotos:
        """Raises DamagedFileError where a file is not as it was written."""
        again = "the photos are decoded again"
        if done["photos"] != len(self.refs) or done["side"] != self.side:
            raise damaged(self.folder / "done.json", "is of other photos", again)
        unreadable = {int(position): str(why) for position, why in done["unreadable"].items()}
        rows, _ = _compact(len(self.refs), unreadable)
        shape = (len(rows), self.side, self.side, 3)
        row_bytes = {"small": SMALL, "contents": DIGITS, "pixels": self._row_bytes}
        for name, each in row_bytes.items():
            check_length(self.folder / name, self._name_of(name), again, len(self.refs) * each)
        for name in ("small", "contents"):
            check(self.folder / name, self._name_of(name), again)
        path = self.folder / "pixels"
        pixels: Photos = load_bytes(path, again, self._name_of("pixels"), shape)
        reasons = {str(self.refs[position]): why for position, why in sorted(unreadable.items())}
        cut_off = tuple(str(self.refs[position]) for position in done.get("cut_off", ()))
        return OpenedPhotos(rows, pixels, reasons, cut_off)

    def small(self) -> NDArray[np.uint8]:
        """Small pictures [n, 256] of a complete map, as of `discl.files.photos.small_pictures`.

        They are black where a photo could not be read.
        """
        count = len(self.refs) * SMALL
        return np.fromfile(self.folder / "small", np.uint8, count).reshape(-1, SMALL)

    def _name_of(self, name: str) -> str:
        return f"{self.folder.name} {name}"

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
                    raise UserError(f"{self.folder} was removed while it was made; run it again")
        self._remove_outdated()
        return opened

    # -- making it

    def _complete(self, what: str, progress: Progress, processes: int) -> None:
        (self.folder / "contents").write_bytes(self._digests.tobytes())
        for name, row_bytes in (("pixels", self._row_bytes), ("small", SMALL)):
            with open_file(self.folder / name, "ab") as opened:
                opened.truncate(len(self.refs) * row_bytes)
        done = self._entries()
        todo = [number for number in range(len(self._chunks)) if number not in done]
        elsewhere = self._elsewhere([p for number in todo for p in self._chunks[number].tolist()])
        items = [self._item(number, elsewhere) for number in todo]
        total = len(self.refs)
        finished = total - sum(len(self._chunks[number]) for number in todo)
        progress(what, finished, total)
        decode = partial(_decode_chunk, self.folder, self.side, self.files)
        with _ChunkLog(self.folder) as log:
            for number, unreadable, cut_off in in_processes(decode, items, processes):
                log.add({"chunk": number, "unreadable": unreadable, "cut_off": cut_off})
                finished += len(self._chunks[number])
                progress(what, finished, total)
        self._finish()

    @cached_property
    def _chunks(self) -> list[Ints]:
        """Positions of the photos of each chunk, in the order in which they are read."""
        order = np.arange(len(self.refs)) if self.reading is None else self.reading
        size = max(1, min(CHUNK_PHOTOS, CHUNK_BYTES // self._row_bytes))
        return [order[start : start + size] for start in range(0, len(order), size)]

    def _item(self, number: int, elsewhere: Mapping[int, _Copy]) -> _Chunk:
        return _Chunk(
            number,
            [
                _Photo(
                    position,
                    str(self.refs[position]),
                    bytes(self._digests[position]),
                    () if self.stamps is None else tuple(self.stamps[position].tolist()),
                    elsewhere.get(position),
                )
                for position in self._chunks[number].tolist()
            ],
        )

    def _elsewhere(self, positions: Sequence[int]) -> dict[int, _Copy]:
        """Position -> where its pixels are in another map, of those that are in one."""
        found: dict[int, _Copy] = {}
        wanted = np.array(positions, np.int64)
        for folder, done in self._others():
            same_kind = done.get("side") == self.side and done.get("how") == self.files.how
            if not same_kind or not len(wanted):
                continue
            try:
                for name in ("pixels", "contents"):
                    check(folder / name, f"{folder.name} {name}", "nothing is copied from it")
                stored = np.fromfile(folder / "contents", _DIGEST, int(done["photos"]))
                rows, _ = _compact(len(stored), map(int, done["unreadable"]))
            except (DamagedFileError, OSError, ValueError, KeyError):
                continue
            held = stored[rows]
            # those that are cut off are decoded, and so noticed, again
            held[np.isin(rows, done.get("cut_off", []))] = b"-"
            order = np.argsort(held)
            place = np.searchsorted(held, self._digests[wanted], sorter=order)
            row = order[np.minimum(place, len(order) - 1)] if len(order) else place * 0
            same = held[row] == self._digests[wanted] if len(order) else place < 0
            copies = zip(wanted[same].tolist(), row[same].tolist(), strict=True)
            found |= {
                position: _Copy(str(folder / "pixels"), copied) for position, copied in copies
            }
            wanted = wanted[~same]
        return found

    def _others(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Complete maps beside this one, of this version."""
        for folder in sorted(self.home.iterdir()) if self.home.is_dir() else ():
            done = _done(folder) if folder != self.folder else None
            if done is not None and done.get("version") == VERSION:
                yield folder, done

    def _remove_outdated(self) -> None:
        """Remove the map of the same photos before some of their files changed.

        Who has it open keeps it.
        """
        for folder, done in self._others():
            if done.get("place") == self._place:
                (folder / "done.json").unlink(missing_ok=True)  # a kill leaves no map that is done
                shutil.rmtree(folder, ignore_errors=True)

    def _finish(self) -> None:
        """Fill the positions of unreadable photos from the end.

        Repeating it changes nothing: what is copied stays where it was.
        """
        unreadable: Unreadable = {}
        cut_off: list[int] = []
        for _, (chunk_unreadable, chunk_cut_off) in sorted(self._entries().items()):
            unreadable |= chunk_unreadable
            cut_off += chunk_cut_off
        _, moves = _compact(len(self.refs), unreadable)
        with open_file(self.folder / "pixels", "r+b") as opened:
            number = opened.fileno()
            for hole, source in moves:
                row = os.pread(number, self._row_bytes, source * self._row_bytes)
                os.pwrite(number, row, hole * self._row_bytes)
            os.fsync(number)
        listed = (f"{self.refs[position]}\t{why}\n" for position, why in sorted(unreadable.items()))
        write_text(self.folder / "unreadable.txt", "".join(listed))
        done = {
            "version": VERSION,
            "of": self.origin,
            "place": self._place,
            "how": self.files.how,
            "photos": len(self.refs),
            "side": self.side,
            "unreadable": unreadable,
            "cut_off": sorted(cut_off),
        }
        for name in ("pixels", "small", "contents"):
            seal(self.folder / name, self._name_of(name))
            flush(self.folder / name)
        write_text(self.folder / "done.json", sealed_text(done))

    @property
    def _row_bytes(self) -> int:
        return self.side * self.side * 3

    # -- what is done

    def _entries(self) -> dict[int, tuple[Unreadable, list[int]]]:
        """Chunk in the log -> (its unreadable photos, its cut-off ones); the last entry counts."""
        entries: dict[int, tuple[Unreadable, list[int]]] = {}
        path = self.folder / "log.jsonl"
        for line in plain_text(path).splitlines() if path.exists() else ():
            try:
                entry = parsed_json(line)
                reasons = entry["unreadable"].items()
                unreadable = {int(key): str(why) for key, why in reasons}
                entries[int(entry["chunk"])] = (unreadable, list(entry["cut_off"]))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # the line that a kill cut short; its chunk is made again
        return entries


class _Copy(NamedTuple):
    """A row of another map's pixels."""

    pixels: str
    row: int


class _Photo(NamedTuple):
    """A photo that is to be decoded, or copied."""

    position: int
    ref: str
    digest: bytes
    stamp: tuple[int, ...]  # () = unknown
    copy: _Copy | None


class _Chunk(NamedTuple):
    """Photos that one process reads one after the other."""

    number: int
    photos: list[_Photo]


def _done(folder: Path) -> dict[str, Any] | None:
    """What is known of a complete map; None where there is none."""
    try:
        done = read_sealed(folder / "done.json", "") if (folder / "done.json").exists() else {}
    except DamagedFileError:
        return None
    return done if isinstance(done.get("unreadable"), dict) else None


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
        for name in ("pixels", "small"):
            with open_file(self._folder / name, "rb") as opened:
                os.fsync(opened.fileno())
        with open_file(self._folder / "log.jsonl", "a") as log:
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
    folder: Path, side: int, files: PhotoFiles, chunk: _Chunk
) -> tuple[int, Unreadable, list[int]]:
    """Write the photos of a chunk; returns (its number, its unreadable photos, the cut-off ones).

    Raises UserError for a file that has changed since its digest was made.
    """
    unreadable: Unreadable = {}
    cut_off: list[int] = []
    row_bytes = side * side * 3
    with (
        open_file(folder / "pixels", "r+b", buffering=0) as pixels,
        open_file(folder / "small", "r+b", buffering=0) as small,
    ):
        for run in _runs(chunk.photos):
            rows = []
            for photo in run:
                row = _copied(photo.copy, row_bytes)
                if row is None:
                    row, why, is_cut_off = _decoded(photo, side, files)
                    if why:
                        unreadable[photo.position] = why
                    if is_cut_off:
                        cut_off.append(photo.position)
                rows.append(row)
            written = b"".join(rows)
            os.pwrite(pixels.fileno(), written, run[0].position * row_bytes)
            seen = small_pictures(np.frombuffer(written, np.uint8).reshape(-1, side, side, 3))
            os.pwrite(small.fileno(), seen.tobytes(), run[0].position * SMALL)
    return chunk.number, unreadable, cut_off


def _runs(photos: Sequence[_Photo]) -> Iterator[list[_Photo]]:
    """Photos in pieces that stand one after the other in the map."""
    run: list[_Photo] = []
    for photo in photos:
        if run and photo.position != run[-1].position + 1:
            yield run
            run = []
        run.append(photo)
    if run:
        yield run


def _copied(copy: _Copy | None, row_bytes: int) -> bytes | None:
    """Pixels from another map; None where they are not there any more."""
    if copy is None:
        return None
    try:
        with open(copy.pixels, "rb", buffering=0) as opened:
            row = os.pread(opened.fileno(), row_bytes, copy.row * row_bytes)
    except OSError:
        return None
    return row if len(row) == row_bytes else None


def _decoded(photo: _Photo, side: int, files: PhotoFiles) -> tuple[bytes, str, bool]:
    """(pixels, why the photo cannot be read, whether it is read but cut off).

    One that cannot be read is black.
    """
    why = ""
    try:
        data = files.read(photo.ref)
        # looked at after it is read: what changes a file later is no matter
        unchanged = bool(photo.stamp) and files.stamp(photo.ref) == photo.stamp
        if not unchanged and files.digest(photo.ref, data) != photo.digest:
            raise _changed(photo.ref)
    except OSError as error:
        if photo.digest:
            raise _changed(photo.ref) from error
        why = f"{photo.ref} cannot be read ({error.strerror or error})"
    else:
        try:
            return files.square(photo.ref, data, side).tobytes(), "", lacks_end(data)
        except UserError as error:
            why = str(error)
    return bytes(side * side * 3), why, False


def _changed(ref: str) -> UserError:
    return UserError(
        f"{ref} changed while photos were decoded; run the same again when nothing writes to the"
        " folder"
    )


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
