"""The bank of guidance-level images: each is made once and kept.

On disk, under `banks/<id>/`: `bank.json` (the process the id stands for), `shards/` (lossless WebP
bytes and their records: the truth), `catalogue.sqlite` (a row per image: an index that can be made
again from the shards), `builders/` and `in_use` (locks, see `leases`) and `cache/` (can be made
again).
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.hashing import canonical, short
from discl.core.interfaces import Executor, Floats, Ints, Photos, Progress, WorkersDied
from discl.core.levels import Counting
from discl.core.plain_files import parsed_json, plain_text
from discl.core.progress import counting
from discl.core.text import echo
from discl.engine.bank.catalogue import MADE, Catalogue, Cell, DamagedCatalogueError, ImageRecord
from discl.engine.bank.filling import FEW, Filling, Groups, LeaseSize, steps_of
from discl.engine.bank.generate import ImageMaker, SourceImages
from discl.engine.bank.leases import (
    Builder,
    CellGrid,
    count_missing,
    hold,
    missing,
)
from discl.engine.bank.rules import ImageRules
from discl.engine.bank.whole_images import WholeImages, image_bytes
from discl.engine.level_images import LevelImages
from discl.files import sealed, shards
from discl.files.disk import atomic_write, clear_disk_errors, write_text
from discl.files.photos import decode, fitted, size_of

SCHEMA = 2
WAIT_SECONDS = 0.5  # between checks of what other builders still hold

_OTHER_GENERATOR = (
    "try another generator.checkpoint, or generator.dtype = float32 where it is not that already"
)
_RECORD = ", ".join(ImageRecord._fields)
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Damage(NamedTuple):
    """A fault of an image, or of the catalogue itself where there is no cell."""

    cell: Cell | None
    why: str


@dataclass(frozen=True)
class BuildReport:
    """Result of one `build`. Images that failed are counted among `images`."""

    images: int
    failed: int
    seconds: float
    denoising_steps: int


def description_of(process: Mapping[str, object]) -> dict[str, object]:
    """The content of `bank.json`."""
    description: dict[str, object] = canonical({"schema": SCHEMA, **process})
    return description


def id_of(process: Mapping[str, object]) -> str:
    """The id of the bank that a process fills."""
    return short(description_of(process))


class Bank:
    """A bank opened for reading, filling and checking.

    `process` is everything the pixels depend on. `size` is the (height, width) that `pixels` has,
    whatever size the images are stored at; None = that of the first image.

    Raises UserError where the folder was made by another process.
    """

    def __init__(
        self, root: Path, process: dict[str, object], size: tuple[int, int] | None = None
    ) -> None:
        self.process = description_of(process)
        self.size = size
        self.id = id_of(process)
        self.folder = root / self.id
        self.shards = self.folder / "shards"
        self._maps: dict[int, tuple[tuple[int, int], Photos]] = {}  # level -> (stamp, pixels)
        self._let_go: Callable[[], object] = lambda: None
        self._is_checked = False
        self._make_folder()

    def _make_folder(self) -> None:
        with clear_disk_errors("opening the bank", self.folder):
            self.shards.mkdir(parents=True, exist_ok=True)
            self._check_or_write_identity()

    def hold(self) -> Bank:
        """Keep others from removing the bank until `close`, or the end of this process."""
        self._let_go()
        held = hold(self.folder, self._make_folder)
        if held is not None:
            self._let_go = weakref.finalize(self, os.close, held)
        return self

    @classmethod
    def at(cls, folder: Path) -> Bank:
        """Opens an existing bank by its `bank.json`.

        Raises UserError where that cannot be read, or is of another version.
        """
        try:
            stored = parsed_json(plain_text(folder / "bank.json"))
            schema = stored["schema"]
            process = {key: value for key, value in stored.items() if key != "schema"}
        except _UNREADABLE as error:
            raise UserError(
                f"{folder / 'bank.json'} cannot be read ({error}); the benchmark it belongs to"
                " writes it again"
            ) from error
        if schema != SCHEMA or id_of(process) != folder.name:
            raise UserError(
                f"bank {folder.name} was made by another version (schema {schema}; this one reads"
                f" {SCHEMA})"
            )
        return cls(folder.parent, process)

    def _check_or_write_identity(self) -> None:
        path = self.folder / "bank.json"
        if not path.exists():
            write_text(path, json.dumps(self.process, indent=1, sort_keys=True) + "\n")
            return
        try:
            stored = parsed_json(plain_text(path))
            keys = {*stored, *self.process}
            differing = sorted(key for key in keys if stored.get(key) != self.process.get(key))
        except (ValueError, AttributeError, TypeError, RecursionError):
            # the folder's name says what was in it
            echo(f"{path} is damaged; it is written again", err=True)
            path.unlink()
            self._check_or_write_identity()
            return
        if differing:
            raise UserError(
                f"bank {self.folder} was made from another {' and '.join(differing)}; move that"
                " folder away and run again"
            )

    @cached_property
    def catalogue(self) -> Catalogue:
        with clear_disk_errors("opening the bank", self.folder):
            return Catalogue(self.folder / "catalogue.sqlite")

    def close(self) -> None:
        """Close the catalogue, which is opened again where it is needed, and hold no longer."""
        self._let_go()
        self._close_catalogue()

    def _check_catalogue(self) -> None:
        """Read the whole catalogue once, before the first answer from it."""
        if not self._is_checked:
            self.catalogue.check()
            self._is_checked = True

    @property
    def _checked(self) -> Catalogue:
        self._check_catalogue()
        return self.catalogue

    def _close_catalogue(self) -> None:
        self._is_checked = False
        if "catalogue" in self.__dict__:
            self.__dict__.pop("catalogue").close()

    # -- filling

    def missing(self, wanted: CellGrid) -> Iterator[Cell]:
        """The cells of `wanted` without an image."""
        return missing(self.catalogue, wanted)

    def count_missing(self, wanted: CellGrid) -> dict[int, int]:
        """Level -> how many cells of `wanted` have no image; as fast where these are billions."""
        return count_missing(self.catalogue, wanted)

    def build(
        self,
        wanted: CellGrid,
        level_steps: Counting,
        executor: Executor,
        image_maker: Callable[[], ImageMaker],
        batch: int,
        progress: Progress,
        at_once: int = FEW,
        groups: Groups | None = None,
    ) -> BuildReport:
        """Make what is missing, in leases of `batch` images at most, beside other builders.

        A stop at any moment loses the leases in work and repeats nothing else; a KeyboardInterrupt
        then has a note of how many images are kept. A lease is some seconds of work, but no fewer
        than `at_once` images, where the generator makes those as fast as one, and more than `batch`
        where fewer would not fill its `groups`. `level_steps` is how the generator counts levels,
        for the count; `image_maker` is called in each worker.

        Raises UserError where an image costs too many workers, or the disk fails.
        """
        started = time.monotonic()
        self.repair()
        missing_counts = self.count_missing(wanted)
        total = sum(missing_counts.values())
        if not total:  # so that a bank that can only be read is as good
            return BuildReport(0, 0, time.monotonic() - started, 0)
        builder = Builder(self.catalogue)
        filling = Filling(progress, total, steps_of(missing_counts, level_steps))
        size = LeaseSize(at_once, batch, groups)
        try:
            with clear_disk_errors("writing images", self.folder), builder, counting(filling.part):
                while next(self.missing(wanted), None):
                    builder.start_over()
                    leases = self._leases(builder, wanted, size)
                    with _closing(executor.run(image_maker, leases)) as answers:
                        for cells, answer in answers:
                            if isinstance(answer, WorkersDied):
                                raise UserError(answer.about(cells))
                            self.catalogue.add(answer.shard, answer.records)
                            builder.release(cells)
                            size.took(len(cells), answer.seconds)
                            filling.add(answer.records, level_steps)
                    if next(self.missing(wanted), None):
                        # others are making the rest, which is free again if they die
                        time.sleep(WAIT_SECONDS)
        except KeyboardInterrupt as stop:
            with suppress(OSError, UserError):
                stop.add_note(self._kept(wanted, builder.held))
            raise
        filling.end()
        return BuildReport(
            filling.images, filling.failed, time.monotonic() - started, filling.steps
        )

    def _leases(
        self, builder: Builder, wanted: CellGrid, size: LeaseSize
    ) -> Iterator[tuple[Cell, ...]]:
        while cells := builder.claim(wanted, size.images):
            yield cells

    def _kept(self, wanted: CellGrid, begun: Iterable[Cell]) -> str:
        """How many images are kept when a build is stopped, and how many begin again."""
        self._enter_shards()
        kept = len(wanted) - sum(self.count_missing(wanted).values())
        query = "SELECT 1 FROM images WHERE source = ? AND level = ? AND variant = ?"
        again = sum(not self.catalogue.fetch(query, cell) for cell in begun)
        return f"{kept:,} of {len(wanted):,} images are kept; {again:,} in work begin again"

    def repair(self) -> None:
        """Make a damaged catalogue again from the shards.

        Shards that a killed builder published without entering them are entered.
        """
        made_again = False
        try:
            self._check_catalogue()
        except DamagedCatalogueError as error:
            echo(error, err=True)
            self._close_catalogue()
            for path in self.folder.glob("catalogue.sqlite*"):
                path.rename(path.with_name(f"damaged-{time.time_ns()}-{path.name}"))
            made_again = True
        self._enter_shards(check_bytes=made_again)

    def _enter_shards(self, check_bytes: bool = False) -> None:
        """Enter the shards that were published and not entered."""
        entered = {name for (name,) in self.catalogue.stream("SELECT name FROM shards")}
        for name in shards.names(self.shards):
            if name not in entered:
                # images dropped because their bytes were damaged must not come back
                self._enter(name, check_bytes)

    def _enter(self, shard: str, check_bytes: bool) -> None:
        """Enter those images of a shard that belong to this bank."""
        try:
            columns, rows = shards.read_index(self.shards, shard)
        except shards.BrokenShardError:
            return  # it is cut off, and its images are made again
        if tuple(columns) != ImageRecord._fields:
            return
        rules = ImageRules(self.id)
        records = [ImageRecord(*row) for row in rows if len(row) == len(columns)]
        if check_bytes:
            own = [record for record in records if not self._fault(shard, record, rules)]
        else:
            own = [record for record in records if not rules.record_fault(record)]
        self.catalogue.add(shard, own)

    # -- reading

    def count(self) -> dict[int, int]:
        """Images by level."""
        query = "SELECT level, COUNT(*) FROM images WHERE status = ? GROUP BY level"
        return dict(self.catalogue.fetch(query, (MADE,)))

    def failures(self) -> list[tuple[Cell, str]]:
        """Images that could not be made, and why."""
        query = "SELECT source, level, variant, why FROM images WHERE status != ? ORDER BY 1, 2, 3"
        return [(Cell(*row[:3]), row[3]) for row in self.catalogue.fetch(query, (MADE,))]

    def no_image(self, levels: Iterable[int] = ()) -> UserError:
        """Why there is no image of some levels (none named = of any), as an error to raise."""
        wanted = sorted(set(levels))
        named = f"of level {', '.join(map(str, wanted))}" if wanted else "of the bank"
        reasons = Counter(
            why for cell, why in self.failures() if not wanted or cell.level in wanted
        ).most_common()
        if not reasons:
            return UserError(f"the bank holds no image {named}; run `discl bank build` first")
        total = sum(count for _, count in reasons)
        told = reasons[0][0]
        if len(reasons) > 1:
            told = "; ".join(f"{why} ({count})" for why, count in reasons)
        all_of_them = "the only image" if total == 1 else f"all {total} images"
        return UserError(f"{all_of_them} {named} failed: {told}; {_OTHER_GENERATOR}")

    def records(self, level: int | None = None, status: str = MADE) -> Iterator[ImageRecord]:
        """All that is known of every image of a status, ordered by (level, source, variant)."""
        query, values = _select(_RECORD, level, status)
        return (ImageRecord(*row) for row in self._checked.stream(query, values))

    def scores(self, level: int) -> tuple[Floats, Floats, Ints]:
        """(text score, photo score, label) of a level's images, each [n], by (source, variant).

        NaN where no scorer ran.
        """
        query, values = _select("text_score, photo_score, label", level)
        table = np.array(self._checked.fetch(query, values), dtype=np.float64).reshape(-1, 3)
        text = table[:, 0].astype(np.float32)
        photo = table[:, 1].astype(np.float32)
        return text, photo, table[:, 2].astype(np.int64)

    def view(
        self,
        level: int,
        variants: int,
        sources: SourceImages,
        threshold: float | None,
        best_of: int = 1,
    ) -> LevelImages:
        """The images of `level`, made from `sources`, that are used; makes nothing.

        Of every `best_of` draws the one with the highest text score is taken (the earliest of
        equals); of those taken, the first `variants` of a photo whose text score reaches
        `threshold`.
        """
        table = self._level_table(level, sources)
        table = table[table["variant"] < variants * best_of]
        if best_of > 1 and len(table):
            table = table[_best_of_each_group(table, best_of)]
        if threshold is not None:
            table = table[table["score"] >= threshold]
        return LevelImages(table["row"].copy(), table["variant"].copy(), table["position"].copy())

    def _level_table(self, level: int, sources: SourceImages) -> NDArray[Any]:
        """Columns row, variant, position and (text) score of the images made from `sources`.

        The score is -inf where no scorer ran.
        """
        query, values = _select("source, variant, text_score", level)
        images = (
            (
                sources.position.get(source, -1),
                variant,
                position,
                -np.inf if score is None else score,
            )
            for position, (source, variant, score) in enumerate(self._checked.stream(query, values))
        )
        columns = [(name, np.int64) for name in ("row", "variant", "position")]
        table = np.fromiter(images, [*columns, ("score", np.float64)])
        table = table[table["row"] >= 0]
        table["row"] = sources.rows[table["row"]]
        return table

    def image(self, cell: Cell) -> tuple[Photos, ImageRecord]:
        """Pixels uint8 [h, w, 3] of one image, and what is known of it.

        Raises UserError where the bank holds no such image.
        """
        query = (
            f"SELECT {_RECORD}, shard FROM images"
            " WHERE source = ? AND level = ? AND variant = ? AND status = ?"
        )
        rows = self.catalogue.fetch(query, (*cell, MADE))
        if not rows:
            failed = self.catalogue.fetch(
                "SELECT why FROM images WHERE source = ? AND level = ? AND variant = ?", tuple(cell)
            )
            if failed:
                raise UserError(f"the image of {cell} failed: {failed[0][0]}; {_OTHER_GENERATOR}")
            raise UserError(f"the bank holds no image of {cell}; run `discl bank build` first")
        *columns, shard = rows[0]
        record = ImageRecord(*columns)
        return decode(self._bytes(shard, record.offset, record.length, record.sha256)), record

    def encoded(self, level: int | None = None) -> Iterator[tuple[ImageRecord, bytes]]:
        """Every image made, as stored, ordered by (level, source, variant)."""
        query, values = _select(f"{_RECORD}, shard", level)
        for *columns, shard in self._checked.stream(query, values):
            record = ImageRecord(*columns)
            yield record, self._bytes(shard, record.offset, record.length, record.sha256)

    def pixels(self, level: int) -> Photos:
        """Pixels [n, h, w, 3] of a level as a memory map, ordered by (source, variant).

        Raises UserError where the bank holds no image of the level, with the reason where images
        failed.
        """
        stamp = self.catalogue.stamp()
        opened = self._maps.get(level)
        if opened is None or opened[0] != stamp:
            opened = (stamp, self._opened_map(level))
            self._maps[level] = opened
        return opened[1]

    def whole(self, level: int) -> WholeImages:
        """The images of `pixels(level)` with their aspect kept, by position.

        Their shorter side is as long as that of `pixels`.
        """
        places = self._checked.stream(*_select("shard, offset, length, sha256", level))
        return WholeImages(self.shards, places, min(self.pixels(level).shape[1:3]))

    def map_path(self, level: int) -> tuple[Path, int]:
        """(file, number of images) of a level's map.

        The file is named by the images in it and by the size they are brought to.
        """
        images, count = self._checked.images_of_level(level)
        size = ""
        if self.size and self.size != self._stored_size(level):
            size = f"-{self.size[0]}x{self.size[1]}"
        name = f"level-{level:03d}-{images[:16]}{size}.npy"
        return self.folder / "cache" / name, count

    def image_size(self) -> tuple[int, int] | None:
        """(height, width) of the images as they are stored; None where none can be read."""
        query, values = _select("shard, offset, length, sha256", None)
        for row in self.catalogue.fetch(f"{query} LIMIT 8", values):
            with suppress(UserError):
                return size_of(self._bytes(*row))
        return None

    def _stored_size(self, level: int) -> tuple[int, int] | None:
        """(height, width) of a level's first image."""
        query, values = _select("shard, offset, length, sha256", level)
        rows = self.catalogue.fetch(f"{query} LIMIT 1", values)
        return size_of(self._bytes(*rows[0])) if rows else None

    def _opened_map(self, level: int) -> Photos:
        path, count = self.map_path(level)
        if not count:
            raise self.no_image((level,))
        pixels: Photos = sealed.cached_array(
            path,
            lambda: self._write_map(level, path, count),
            self._name_of(path),
            dtype=np.uint8,
            rows=count,
        )
        return pixels

    def _name_of(self, path: Path) -> str:
        return f"{self.id} {path.name}"

    def _write_map(self, level: int, path: Path, count: int) -> None:
        images = (decode(data) for _, data in self.encoded(level))
        with atomic_write(path) as tmp:
            first = next(images)
            size = self.size or (first.shape[0], first.shape[1])
            shape = {"descr": "|u1", "fortran_order": False, "shape": (count, *size, 3)}
            # written and not mapped: a full disk is an error then, and no signal that kills
            with tmp.open("wb") as opened:
                np.lib.format.write_array_header_1_0(opened, shape)
                for image in chain([first], images):
                    opened.write(np.ascontiguousarray(fitted(image, size)).data)
            sealed.seal(tmp, self._name_of(path))

    def _bytes(self, shard: str, offset: int, length: int, sha256: str) -> bytes:
        return image_bytes(self.shards, shard, offset, length, sha256)

    # -- checking

    def digest(self, levels: Iterable[int] | None = None, variants: int | None = None) -> str:
        """One SHA-256 over the sorted (key, hash of bytes) pairs: equal images, equal digest.

        Of all images, or of those of some levels and of the first `variants` of each photo.
        """
        wanted = ["1"]
        if levels is not None:
            wanted.append(f"level IN ({', '.join(map(str, levels))})")
        if variants is not None:
            wanted.append(f"variant < {variants}")
        query = f"SELECT key, sha256 FROM images WHERE {' AND '.join(wanted)} ORDER BY key"
        pairs = hashlib.sha256()
        for key, sha256 in self._checked.stream(query):
            pairs.update(f"{key} {sha256}\n".encode())
        return pairs.hexdigest()

    def verify(self, rules: ImageRules | None = None) -> Iterator[Damage]:
        """Re-hash every byte, decode every image, and compare it with what `rules` say.

        Yields each image that is damaged, gone or against the rules, or the torn catalogue.
        """
        try:
            self._is_checked = False
            self._check_catalogue()
        except DamagedCatalogueError as error:
            yield Damage(None, str(error))
            return
        entered = {name for (name,) in self.catalogue.stream("SELECT name FROM shards")}
        unknown = set(shards.names(self.shards)) - entered
        if unknown:
            yield Damage(
                None,
                f"the catalogue lacks {len(unknown)} of the shards that are there; `discl bank"
                " build` enters them",
            )
        rules = rules or ImageRules(self.id)
        query = f"SELECT {_RECORD}, shard FROM images ORDER BY shard, offset"
        for *columns, shard in self.catalogue.stream(query):
            record = ImageRecord(*columns)
            if why := self._fault(shard, record, rules):
                yield Damage(record.cell, why)
        yield from (Damage(cell, why) for cell, why in rules.odd_ones())

    def _fault(self, shard: str, record: ImageRecord, rules: ImageRules) -> str:
        """The fault of an image's bytes or record; "" where there is none."""
        try:
            data = shards.read(self.shards, shard, record.offset, record.length, record.sha256)
        except shards.BrokenShardError as error:
            return str(error)
        return rules.fault(record, data)

    def unused_shards(self) -> list[Path]:
        """Shards that were entered and whose images have all been dropped since."""
        used = {name for (name,) in self.catalogue.stream("SELECT DISTINCT shard FROM images")}
        entered = {name for (name,) in self.catalogue.stream("SELECT name FROM shards")}
        return [self.shards / name for name in shards.names(self.shards) if name in entered - used]

    def drop(self, cells: Iterable[Cell]) -> int:
        """Remove images from the catalogue, so that the next build makes just those again."""
        dropped = list(cells)
        with self.catalogue.writing() as db:
            db.executemany(
                "DELETE FROM images WHERE source = ? AND level = ? AND variant = ?", dropped
            )
        return len(dropped)


@contextmanager
def _closing(answers: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """An executor's answers; at the end its workers are gone, before anything is counted."""
    try:
        yield answers
    finally:
        close = getattr(answers, "close", None)  # an iterator that is no generator has none
        if close:
            close()


def _select(columns: str, level: int | None, status: str = MADE) -> tuple[str, tuple[object, ...]]:
    """(query, values) for images of one level or all, ordered by (level, source, variant)."""
    at_level = "" if level is None else "AND level = ?"
    values = (status,) if level is None else (status, level)
    where = f"WHERE status = ? {at_level}"
    return f"SELECT {columns} FROM images {where} ORDER BY level, source, variant", values


def _best_of_each_group(table: NDArray[Any], best_of: int) -> Ints:
    """Indices, ascending, of the highest score in each group of `best_of` draws of a photo."""
    group = np.stack([table["row"], table["variant"] // best_of], 1)
    order = np.lexsort((table["variant"], -table["score"], group[:, 1], group[:, 0]))
    group = group[order]
    first = np.r_[True, (group[1:] != group[:-1]).any(1)]
    return np.sort(order[first])
