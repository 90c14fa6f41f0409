"""The bank of guidance-level images: made once, kept for ever, looked at through views.

On disk, under `banks/<id>/`: `bank.json` (what the id stands for), `catalogue.sqlite` (a row an image), `shards/` (lossless
WebP bytes, published by rename before their rows are committed) and `cache/` (pixels as memory maps, rebuildable).
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.files.disk import clear_disk_errors, publishing, write_text
from discl.files.photos import decode, encode
from discl.spec.errors import UserError
from discl.spec.identity import canonical, digest, seed_of, short
from discl.spec.kinds import Announce, Floats, Generator, Ints, Photos, Request, Scorer, Scores
from discl.spec.levels import denoising_steps

SCHEMA = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    key TEXT PRIMARY KEY, source TEXT NOT NULL, label INTEGER NOT NULL, level INTEGER NOT NULL, variant INTEGER NOT NULL,
    prompt TEXT NOT NULL, seed INTEGER NOT NULL, denoising_steps INTEGER NOT NULL, text_score REAL, photo_score REAL,
    shard TEXT NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_level ON images (level, source, variant);
"""


class Cell(NamedTuple):
    """One place in the bank: a photo, a level, and which of the draws at it."""

    source: str
    level: int
    variant: int


@dataclass(frozen=True)
class Sources:
    """The photos images are made from, in the order of their ids."""

    ids: tuple[str, ...]
    labels: Ints  # [n]
    photos: Photos  # [n, h, w, 3]
    prompts: tuple[tuple[str, ...], ...]  # [classes][choices]

    @cached_property
    def place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.ids)}


class View(NamedTuple):
    """The images of one level that pass a threshold, ordered by (source, variant)."""

    source: Ints  # [n], place in Sources
    variant: Ints  # [n]
    place: Ints  # [n], place in the level's pixels


class Damage(NamedTuple):
    """An image whose bytes are not what the catalogue says."""

    key: str
    cell: Cell
    why: str


@dataclass(frozen=True)
class Made:
    """What one `ensure` did."""

    images: int
    seconds: float
    denoising_steps: int


class Bank:
    """A bank opened for reading, filling and checking. `process` is everything the pixels depend on (design: identity)."""

    def __init__(self, root: Path, process: dict[str, object]) -> None:
        self.process = canonical({"schema": SCHEMA, **process})
        self.id = short(self.process)
        self.folder = root / self.id
        with clear_disk_errors("opening the bank", self.folder):
            (self.folder / "shards").mkdir(parents=True, exist_ok=True)
            self._check_or_write_identity()
            self._db = self._open()

    def _check_or_write_identity(self) -> None:
        path = self.folder / "bank.json"
        if not path.exists():
            write_text(path, json.dumps(self.process, indent=1, sort_keys=True) + "\n")
            return
        stored = json.loads(path.read_text("utf-8"))
        if digest(stored) != digest(self.process):
            differing = sorted(k for k in {*stored, *self.process} if stored.get(k) != self.process.get(k))
            raise UserError(f"bank {self.folder} was made from another {' and '.join(differing)}; move that folder away and run again")

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.folder / "catalogue.sqlite", timeout=60, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.executescript(_TABLES)
        except sqlite3.OperationalError as error:
            raise OSError(28 if "full" in str(error) else 30, str(error)) from error
        except sqlite3.DatabaseError as error:
            raise UserError(f"{self.folder / 'catalogue.sqlite'} is damaged ({error}); move {self.folder} away and build again") from error
        return db

    def close(self) -> None:
        self._db.close()

    # -- what an image is

    def key(self, cell: Cell) -> str:
        """The name of an image within all banks of this process."""
        return digest([self.id, cell.source, cell.level, cell.variant])[:32]

    def request(self, cell: Cell, prompts: Sequence[str]) -> Request:
        """Prompt and noise of a cell. Both are shared by the levels of one photo and variant, so that a spectrum is one
        picture fading into another, and by nothing else: two photos never share noise."""
        seed = seed_of("noise", self.id, cell.source, cell.variant)
        return Request(cell.level, prompts[seed_of("prompt", self.id, cell.source, cell.variant) % len(prompts)], seed)

    # -- filling

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those of `cells` the bank lacks, in the order they will be made."""
        present = {Cell(*row) for row in self._db.execute("SELECT source, level, variant FROM images")}
        return sorted((cell for cell in set(cells) - present), key=lambda c: (c.level, c.source, c.variant))

    def ensure(
        self,
        cells: Sequence[Cell],
        sources: Sources,
        generator: Generator,
        scorer: Scorer | None,
        batch: int,
        announce: Announce,
    ) -> Made:
        """Make what is missing, batch by batch; a stop between two batches loses nothing and repeats nothing."""
        import time

        started, todo = time.monotonic(), self.missing(cells)
        for start in range(0, len(todo), batch):
            announce("making images", start, len(todo))
            chosen = todo[start : start + batch]
            rows = np.array([sources.place[cell.source] for cell in chosen])
            requests = [self.request(c, sources.prompts[int(sources.labels[r])]) for c, r in zip(chosen, rows, strict=True)]
            photos = sources.photos[rows]
            images = generator.make(requests, photos)
            scores = scorer.score(images, photos, [request.prompt for request in requests]) if scorer else None
            with clear_disk_errors("writing images", self.folder):
                self._commit(chosen, sources.labels[rows], requests, images, scores, generator.steps)
        if todo:
            announce("making images", len(todo), len(todo))
        work = sum(denoising_steps(cell.level, generator.steps) for cell in todo)
        return Made(len(todo), time.monotonic() - started, work)

    def _commit(
        self, cells: Sequence[Cell], labels: Ints, requests: Sequence[Request], images: Photos, scores: Scores | None, steps: int
    ) -> None:
        """Publish one shard, then its rows in one transaction: a shard without rows is litter, never a lie."""
        encoded = [encode(image) for image in images]
        body = b"".join(encoded)
        shard = hashlib.sha256(body).hexdigest()[:32]
        with publishing(self.folder / "shards" / shard) as half:
            half.write_bytes(body)
        offsets = np.cumsum([0, *(len(data) for data in encoded)])
        rows = [
            (
                self.key(cell), cell.source, int(label), cell.level, cell.variant, request.prompt, request.seed,
                denoising_steps(cell.level, steps),
                round(float(scores.text[i]), 6) if scores else None, round(float(scores.photo[i]), 6) if scores else None,
                shard, int(offsets[i]), len(encoded[i]), hashlib.sha256(encoded[i]).hexdigest(),
            )
            for i, (cell, label, request) in enumerate(zip(cells, labels, requests, strict=True))
        ]  # fmt: skip
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT OR IGNORE INTO images VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise OSError(28 if "full" in str(error) else 30, str(error)) from error

    # -- reading

    def count(self) -> dict[int, int]:
        """Images by level."""
        return dict(self._db.execute("SELECT level, COUNT(*) FROM images GROUP BY level ORDER BY level"))

    def scores(self, level: int) -> tuple[Floats, Floats, Ints]:
        """(text, photo, label) of a level's images, ordered by (source, variant); NaN where no scorer ran."""
        rows = self._db.execute(
            "SELECT text_score, photo_score, label FROM images WHERE level = ? ORDER BY source, variant", (level,)
        ).fetchall()
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return table[:, 0].astype(np.float32), table[:, 1].astype(np.float32), np.nan_to_num(table[:, 2]).astype(np.int64)

    def view(self, level: int, variants: int, sources: Sources, threshold: float | None) -> View:
        """The images of `level`, of the first `variants` draws, whose text score reaches `threshold`; makes nothing."""
        rows = self._db.execute("SELECT source, variant, text_score FROM images WHERE level = ? ORDER BY source, variant", (level,))
        kept = [
            (sources.place[source], variant, place)
            for place, (source, variant, score) in enumerate(rows)
            if variant < variants and source in sources.place and (threshold is None or (score is not None and score >= threshold))
        ]
        table = np.array(kept, np.int64).reshape(-1, 3)
        return View(table[:, 0], table[:, 1], table[:, 2])

    def image(self, cell: Cell) -> tuple[Photos, float | None]:
        """(pixels, text score) of one image."""
        row = self._db.execute("SELECT shard, offset, length, text_score FROM images WHERE key = ?", (self.key(cell),)).fetchone()
        if row is None:
            raise UserError(f"the bank holds no image of {cell}; run `discl bank build` first")
        return decode(self._read(*row[:3])), row[3]

    def pixels(self, level: int) -> Photos:
        """Pixels [n, h, w, 3] of a level as a memory map, ordered by (source, variant); changing level opens another map."""
        rows = self._db.execute(
            "SELECT shard, offset, length, sha256 FROM images WHERE level = ? ORDER BY source, variant", (level,)
        ).fetchall()
        path = self.folder / "cache" / f"level-{level:03d}-{digest([row[3] for row in rows])[:16]}.npy"
        if not path.exists():
            first = decode(self._read(*rows[0][:3]))
            with publishing(path) as half:
                made = np.lib.format.open_memmap(half, "w+", np.uint8, (len(rows), *first.shape))
                for i, row in enumerate(rows):
                    made[i] = decode(self._read(*row[:3]))
                made.flush()
        pixels: Photos = np.load(path, mmap_mode="r")
        return pixels

    def _read(self, shard: str, offset: int, length: int) -> bytes:
        with (self.folder / "shards" / shard).open("rb") as opened:
            return os.pread(opened.fileno(), length, offset)

    # -- checking

    def digest(self) -> str:
        """One SHA-256 over the sorted (key, hash of bytes) pairs: equal banks, equal digest."""
        whole = hashlib.sha256()
        for key, sha in self._db.execute("SELECT key, sha256 FROM images ORDER BY key"):
            whole.update(f"{key} {sha}\n".encode())
        return whole.hexdigest()

    def verify(self) -> Iterator[Damage]:
        """Re-hash every byte; yields each image that is damaged or gone."""
        rows = self._db.execute("SELECT key, source, level, variant, shard, offset, length, sha256 FROM images ORDER BY shard, offset")
        for key, source, level, variant, shard, offset, length, sha in rows.fetchall():
            cell = Cell(source, level, variant)
            try:
                data = self._read(shard, offset, length)
            except OSError as error:
                yield Damage(key, cell, f"shard {shard} cannot be read ({error.strerror})")
                continue
            if hashlib.sha256(data).hexdigest() != sha:
                yield Damage(key, cell, f"bytes of shard {shard} changed")

    def forget(self, damaged: Iterable[Damage]) -> int:
        """Drop the rows of damaged images, so that the next build makes just those again."""
        keys = [(damage.key,) for damage in damaged]
        self._db.executemany("DELETE FROM images WHERE key = ?", keys)
        return len(keys)
