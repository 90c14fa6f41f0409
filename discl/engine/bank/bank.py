"""The bank of guidance-level images: made once, kept for ever, looked at through views.

On disk, under `banks/<id>/`: `bank.json` (what the id stands for), `shards/` (lossless WebP bytes
and what they are: the truth), `catalogue.sqlite` (a row an image: an index, made again from the
shards if need be) and `cache/` (rebuildable).
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.hashing import canonical, short
from discl.core.interfaces import Executor, Floats, Ints, Photos, Progress, WorkersDied
from discl.core.levels import denoising_steps
from discl.engine.bank.catalogue import MADE, Catalogue, Cell, DamagedCatalogueError, ImageRecord
from discl.engine.bank.generate import ImageMaker, SourceImages, key_of
from discl.engine.bank.leases import Builder, CellGrid, missing
from discl.files import shards
from discl.files.disk import clear_disk_errors, publishing, write_text
from discl.files.photos import decode, fitted

SCHEMA = 2
WAIT_S = 0.5  # between looks at what other builders still hold


class View(NamedTuple):
    """The images of one level that are used, ordered by (source, variant)."""

    source: Ints  # [n], place in Sources
    variant: Ints  # [n]
    place: Ints  # [n], place in the level's pixels


class Damage(NamedTuple):
    """Something that is not what the catalogue says: an image, or (no cell) the catalogue itself."""

    cell: Cell | None
    why: str


@dataclass(frozen=True)
class Made:
    """What one `build` did. Images that failed are counted among `images`."""

    images: int
    failed: int
    seconds: float
    denoising_steps: int


def described(process: Mapping[str, object]) -> dict[str, object]:
    """What `bank.json` says."""
    said: dict[str, object] = canonical({"schema": SCHEMA, **process})
    return said


def id_of(process: Mapping[str, object]) -> str:
    """The name of the bank a process fills."""
    return short(described(process))


class Bank:
    """A bank opened for reading, filling and checking.

    `process` is everything the pixels depend on (design: identity).

    `size` is the (height, width) `pixels` has, whatever size the images are stored at; None = that
    of the first image.
    """

    def __init__(
        self, root: Path, process: dict[str, object], size: tuple[int, int] | None = None
    ) -> None:
        self.process = described(process)
        self.size = size
        self.id = id_of(process)
        self.folder = root / self.id
        self.shards = self.folder / "shards"
        self._maps: dict[int, tuple[tuple[int, int], Photos]] = {}
        with clear_disk_errors("opening the bank", self.folder):
            self.shards.mkdir(parents=True, exist_ok=True)
            self._check_or_write_identity()

    @classmethod
    def at(cls, folder: Path) -> Bank:
        """A bank that is there, by what its folder says of it."""
        try:
            stored = json.loads((folder / "bank.json").read_text("utf-8"))
            schema = stored["schema"]
            process = {key: value for key, value in stored.items() if key != "schema"}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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
            stored = json.loads(path.read_text("utf-8"))
            differing = sorted(
                k for k in {*stored, *self.process} if stored.get(k) != self.process.get(k)
            )
        except (ValueError, AttributeError) as error:
            raise UserError(
                f"{path} is damaged ({error}); delete that file and run again"
            ) from error
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
        if "catalogue" in self.__dict__:
            self.__dict__.pop("catalogue").close()

    # -- filling

    def missing(self, wanted: CellGrid) -> Iterator[Cell]:
        """What is wanted and not there."""
        return missing(self.catalogue, wanted)

    def build(
        self,
        wanted: CellGrid,
        steps: int,
        executor: Executor,
        image_maker: Callable[[], ImageMaker],
        batch: int,
        progress: Progress,
    ) -> Made:
        """Make what is missing, a lease of `batch` images at a time, beside whoever else builds
        this bank.

        A stop at any moment loses the leases in work and repeats nothing else. `steps` is the
        generator's grid, for the count.
        """
        started = time.monotonic()
        images = 0
        failed = 0
        work = 0
        self.heal()
        with clear_disk_errors("writing images", self.folder), Builder(self.catalogue) as builder:
            total = sum(1 for _ in self.missing(wanted))
            if total:
                progress("making images", 0, total)
            while next(self.missing(wanted), None):
                builder.start_over()
                for cells, answer in executor.run(
                    image_maker, self._leases(builder, wanted, batch)
                ):
                    if isinstance(answer, WorkersDied):
                        raise UserError(answer.about(cells))
                    shard, rows = answer
                    self.catalogue.add(shard, rows)
                    builder.release(cells)
                    images, failed = (
                        images + len(rows),
                        failed + sum(row.status != MADE for row in rows),
                    )
                    work += sum(denoising_steps(row.level, steps) for row in rows)
                    progress("making images", images, max(total, images))
                if next(self.missing(wanted), None):
                    time.sleep(
                        WAIT_S
                    )  # the rest is being made by others; it is ours again if they die
            if images < total:  # others made the rest
                progress("making images", total, total)
        return Made(images, failed, time.monotonic() - started, work)

    def _leases(self, builder: Builder, wanted: CellGrid, batch: int) -> Iterator[tuple[Cell, ...]]:
        while cells := builder.claim(wanted, batch):
            yield cells

    def heal(self) -> None:
        """Make a damaged catalogue again from the shards, and enter shards that a killed builder
        left without rows.
        """
        try:
            self.catalogue.check()
            check = False
        except DamagedCatalogueError:
            self.close()
            for path in self.folder.glob("catalogue.sqlite*"):
                path.rename(path.with_name(f"damaged-{time.time_ns()}-{path.name}"))
            check = (
                True  # rows forgotten because their bytes were damaged would come back otherwise
            )
        known = {name for (name,) in self.catalogue.stream("SELECT name FROM shards")}
        for name in shards.names(self.shards):
            if name not in known:
                self._adopt(name, check)

    def _adopt(self, name: str, check: bool) -> None:
        try:
            columns, rows = shards.about(self.shards, name)
        except shards.BrokenShardError:
            return  # half of it is gone; what it held is made again
        if tuple(columns) != ImageRecord._fields:
            return
        kept = [ImageRecord(*row) for row in rows]
        self.catalogue.add(
            name,
            [
                row
                for row in kept
                if row.key == key_of(self.id, row.cell) and not (check and self._wrong(name, row))
            ],
        )

    # -- reading

    def count(self) -> dict[int, int]:
        """Images by level."""
        return dict(
            self.catalogue.rows(
                "SELECT level, COUNT(*) FROM images WHERE status = ? GROUP BY level", (MADE,)
            )
        )

    def failures(self) -> list[tuple[Cell, str]]:
        """Images that could not be made, and why."""
        rows = self.catalogue.rows(
            "SELECT source, level, variant, why FROM images WHERE status != ? ORDER BY 1, 2, 3",
            (MADE,),
        )
        return [(Cell(*row[:3]), row[3]) for row in rows]

    def rows(self, level: int | None = None, status: str = MADE) -> Iterator[ImageRecord]:
        """All that is known of every image made (or FAILED), ordered by (level, source, variant)."""
        one = "" if level is None else "AND level = ?"
        query = (
            f"SELECT {', '.join(ImageRecord._fields)} FROM images WHERE status = ? {one} ORDER BY level,"
            " source, variant"
        )
        return (
            ImageRecord(*row)
            for row in self.catalogue.stream(query, (status,) if level is None else (status, level))
        )

    def scores(self, level: int) -> tuple[Floats, Floats, Ints]:
        """(text, photo, label) of a level's images, ordered by (source, variant); NaN where no
        scorer ran.
        """
        query = (
            "SELECT text_score, photo_score, label FROM images WHERE level = ? AND status = ? ORDER"
            " BY source, variant"
        )
        table = np.array(self.catalogue.rows(query, (level, MADE)), dtype=np.float64).reshape(-1, 3)
        return (
            table[:, 0].astype(np.float32),
            table[:, 1].astype(np.float32),
            table[:, 2].astype(np.int64),
        )

    def view(
        self,
        level: int,
        variants: int,
        sources: SourceImages,
        threshold: float | None,
        best_of: int = 1,
    ) -> View:
        """The images of `level` that are used; makes nothing.

        Of every `best_of` draws the one with the highest text score is taken (the earliest of
        equals); of those taken, the first `variants` of a photo whose text score reaches
        `threshold`.
        """
        query = (
            "SELECT source, variant, text_score FROM images WHERE level = ? AND status = ? ORDER BY"
            " source, variant"
        )
        rows = (
            (
                sources.place.get(source, -1),
                variant,
                place,
                float("-inf") if score is None else score,
            )
            for place, (source, variant, score) in enumerate(
                self.catalogue.stream(query, (level, MADE))
            )
        )
        table = np.fromiter(
            rows,
            [
                ("source", np.int64),
                ("variant", np.int64),
                ("place", np.int64),
                ("score", np.float64),
            ],
        )
        table = table[(table["source"] >= 0) & (table["variant"] < variants * best_of)]
        if best_of > 1 and len(table):
            order = np.lexsort(
                (table["variant"], -table["score"], table["variant"] // best_of, table["source"])
            )
            group = np.stack([table["source"], table["variant"] // best_of], 1)[order]
            first = np.r_[True, (group[1:] != group[:-1]).any(1)]
            table = table[np.sort(order[first])]
        if threshold is not None:
            table = table[table["score"] >= threshold]
        return View(table["source"].copy(), table["variant"].copy(), table["place"].copy())

    def image(self, cell: Cell) -> tuple[Photos, ImageRecord]:
        """Pixels of one image, and what is known of it."""
        query = (
            f"SELECT {', '.join(ImageRecord._fields)}, shard FROM images WHERE source = ? AND level = ? AND"
            " variant = ? AND status = ?"
        )
        found = self.catalogue.rows(query, (*cell, MADE))
        if not found:
            raise UserError(f"the bank holds no image of {cell}; run `discl bank build` first")
        row = ImageRecord(*found[0][:-1])
        return decode(self._bytes(found[0][-1], row.offset, row.length)), row

    def encoded(self, level: int | None = None) -> Iterator[tuple[ImageRecord, bytes]]:
        """Every image made, as stored, ordered by (level, source, variant)."""
        one = "" if level is None else "AND level = ?"
        query = (
            f"SELECT {', '.join(ImageRecord._fields)}, shard FROM images WHERE status = ? {one} ORDER BY"
            " level, source, variant"
        )
        for found in self.catalogue.stream(query, (MADE,) if level is None else (MADE, level)):
            row = ImageRecord(*found[:-1])
            yield row, self._bytes(found[-1], row.offset, row.length)

    def pixels(self, level: int) -> Photos:
        """Pixels [n, h, w, 3] of a level as a memory map, ordered by (source, variant); changing
        level is opening another map.
        """
        stamp = self.catalogue.stamp()
        known = self._maps.get(level)
        if known is None or known[0] != stamp:
            self._maps[level] = known = (stamp, self._map(level))
        return known[1]

    def map_path(self, level: int) -> tuple[Path, int]:
        """The file of a level's map, named by the images in it and by the size they are brought to,
        and how many those are.
        """
        whole = hashlib.sha256()
        count = 0
        for (sha,) in self.catalogue.stream(
            "SELECT sha256 FROM images WHERE level = ? AND status = ? ORDER BY source, variant",
            (level, MADE),
        ):
            whole.update(sha.encode())
            count += 1
        size = (
            ""
            if not self.size or self.size == self._stored_size(level)
            else f"-{self.size[0]}x{self.size[1]}"
        )
        return (
            self.folder / "cache" / f"level-{level:03d}-{whole.hexdigest()[:16]}{size}.npy",
            count,
        )

    def _stored_size(self, level: int) -> tuple[int, int] | None:
        """(height, width) of a level's first image."""
        query = (
            "SELECT shard, offset, length FROM images WHERE level = ? AND status = ? ORDER BY"
            " source, variant LIMIT 1"
        )
        found = self.catalogue.rows(query, (level, MADE))
        return decode(self._bytes(*found[0])).shape[:2] if found else None

    def _map(self, level: int) -> Photos:
        path, count = self.map_path(level)
        if not count:
            raise UserError(
                f"the bank holds no image of level {level}; run `discl bank build` first"
            )
        if not path.exists():
            with publishing(path) as half:
                images = (decode(data) for _, data in self.encoded(level))
                first = next(images)
                size = self.size or (first.shape[0], first.shape[1])
                made = np.lib.format.open_memmap(half, "w+", np.uint8, (count, *size, 3))
                for place, image in enumerate(chain([first], images)):
                    made[place] = fitted(image, size)
                made.flush()
        pixels: Photos = np.load(path, mmap_mode="r")
        return pixels

    def _bytes(self, shard: str, offset: int, length: int) -> bytes:
        try:
            return shards.read(self.shards, shard, offset, length)
        except shards.BrokenShardError as error:
            raise UserError(f"{error}; run `discl bank verify`, then `discl bank build`") from error

    # -- checking

    def digest(self) -> str:
        """One SHA-256 over the sorted (key, hash of bytes) pairs: equal banks, equal digest."""
        whole = hashlib.sha256()
        for key, sha in self.catalogue.stream("SELECT key, sha256 FROM images ORDER BY key"):
            whole.update(f"{key} {sha}\n".encode())
        return whole.hexdigest()

    def verify(self) -> Iterator[Damage]:
        """Re-hash every byte; yields each image that is damaged or gone, or the catalogue where
        that is torn.
        """
        try:
            self.catalogue.check()
        except DamagedCatalogueError as error:
            yield Damage(None, str(error))
            return
        unknown = sorted(
            {*shards.names(self.shards)}
            - {name for (name,) in self.catalogue.stream("SELECT name FROM shards")}
        )
        if unknown:
            yield Damage(
                None,
                f"the catalogue lacks {len(unknown)} of the shards that are there; `discl bank"
                " build` enters them",
            )
        for found in self.catalogue.stream(
            f"SELECT {', '.join(ImageRecord._fields)}, shard FROM images ORDER BY shard, offset"
        ):
            row = ImageRecord(*found[:-1])
            if why := self._wrong(found[-1], row):
                yield Damage(row.cell, why)

    def _wrong(self, shard: str, row: ImageRecord) -> str:
        """What is wrong with an image's bytes; "" where nothing is."""
        try:
            data = shards.read(self.shards, shard, row.offset, row.length)
        except shards.BrokenShardError as error:
            return str(error)
        return (
            ""
            if hashlib.sha256(data).hexdigest() == row.sha256
            else f"bytes of shard {shard} changed"
        )

    def unused(self) -> list[Path]:
        """Shards that were entered and whose images have all been forgotten since."""
        used = {name for (name,) in self.catalogue.stream("SELECT DISTINCT shard FROM images")}
        entered = {name for (name,) in self.catalogue.stream("SELECT name FROM shards")}
        return [self.shards / name for name in shards.names(self.shards) if name in entered - used]

    def forget(self, cells: Iterable[Cell]) -> int:
        """Drop the rows of images, so that the next build makes just those again."""
        dropped = list(cells)
        with self.catalogue.writing() as db:
            db.executemany(
                "DELETE FROM images WHERE source = ? AND level = ? AND variant = ?", dropped
            )
        return len(dropped)
