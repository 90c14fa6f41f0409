"""The catalogue of a bank: an index over its shards, which can be lost and made again from them."""

from __future__ import annotations

import errno
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from xxhash import xxh3_64_intdigest

from discl.core.errors import UserError
from discl.core.plain_files import plain


class Cell(NamedTuple):
    """Names an image of a bank by its photo, its level and the number of the draw."""

    source: str
    level: int
    variant: int


class ImageRecord(NamedTuple):
    """All that is known of one image: the columns of the catalogue and of a shard's index."""

    source: str
    level: int
    variant: int
    key: str
    label: int
    prompt: str
    caption: str  # what `text_score` compares it with
    seed: int
    denoising_steps: int
    text_score: float | None
    photo_score: float | None
    status: str  # MADE or FAILED
    why: str  # a failed image's reason
    offset: int
    length: int
    sha256: str  # of the encoded bytes

    @property
    def cell(self) -> Cell:
        return Cell(self.source, self.level, self.variant)


MADE = "made"
FAILED = "failed"

_TABLES = """
CREATE TABLE IF NOT EXISTS images (
    source TEXT NOT NULL, level INTEGER NOT NULL, variant INTEGER NOT NULL,
    key TEXT NOT NULL, label INTEGER NOT NULL, prompt TEXT NOT NULL, caption TEXT NOT NULL,
    seed INTEGER NOT NULL, denoising_steps INTEGER NOT NULL,
    text_score REAL, photo_score REAL, status TEXT NOT NULL, why TEXT NOT NULL,
    offset INTEGER NOT NULL, length INTEGER NOT NULL, sha256 TEXT NOT NULL, shard TEXT NOT NULL,
    digest INTEGER, PRIMARY KEY (source, level, variant)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_level ON images (level, status, source, variant, text_score);
CREATE INDEX IF NOT EXISTS by_shard ON images (shard);
CREATE TABLE IF NOT EXISTS shards (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS leases (
    source TEXT NOT NULL, level INTEGER NOT NULL, variant INTEGER NOT NULL, builder TEXT NOT NULL,
    PRIMARY KEY (source, level, variant)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_builder ON leases (builder);
"""
_COLUMNS = ", ".join((*ImageRecord._fields, "shard", "digest"))  # of a row; NULL = not sealed
_STATUS = ImageRecord._fields.index("status")
_SHA256 = ImageRecord._fields.index("sha256")
_TEXT = "\x1f".join(["%s"] * (len(ImageRecord._fields) + 1))  # of a row, for its digest
_INSERT = (
    f"INSERT OR IGNORE INTO images ({_COLUMNS})"
    f" VALUES ({', '.join('?' * (len(ImageRecord._fields) + 2))})"
)
BUSY_SECONDS = 120  # how long a query waits for other processes
_DISK_ERRORS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}


class DamagedCatalogueError(UserError):
    """The catalogue cannot be trusted; its bank's shards can."""


class Catalogue:
    """One SQLite file in WAL mode, which many processes of one machine may read and write at once.

    Read it by `fetch` and `stream`, write it inside `writing`. All of them raise
    DamagedCatalogueError where the file is torn, UserError where it stays locked, and OSError where
    the disk is full or read-only.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._levels: tuple[tuple[int, int], dict[int, tuple[str, int]]] | None = None
        self._seed = xxh3_64_intdigest(path.parent.name.encode())
        if path.exists():
            plain(path)  # SQLite waits for a pipe
        try:
            self._open()
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES) or not path.exists():
                raise
            if "_db" in self.__dict__:
                self._db.close()
            self._open_for_reading()

    def _open(self) -> None:
        with self._clear_errors():
            self._db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_TABLES)
            # catalogues of earlier versions have no digests
            if not self.fetch("SELECT 1 FROM pragma_table_info('images') WHERE name = 'digest'"):
                self._db.execute("ALTER TABLE images ADD COLUMN digest INTEGER")

    def _open_for_reading(self) -> None:
        """Open it where nothing may be written: beside a writer's files, or alone as it is."""
        left = self.path.with_name(f"{self.path.name}-wal")
        whole = not left.exists() or not left.stat().st_size
        how = "mode=ro&immutable=1" if whole else "mode=ro"
        with self._clear_errors():
            address = f"file:{quote(str(self.path.absolute()))}?{how}"
            self._db = sqlite3.connect(address, BUSY_SECONDS, isolation_level=None, uri=True)
            self.fetch("SELECT COUNT(*) FROM pragma_table_info('images')")

    def close(self) -> None:
        self._db.close()

    def check(self) -> None:
        """Read everything: about 0.8 s for 100,000 images.

        Raises DamagedCatalogueError where a page is torn, an index says something else than its
        table, or a row is not as it was written.
        """
        if self.fetch("PRAGMA integrity_check(1)") != [("ok",)]:
            raise self._damaged("a page is torn")
        rows = f"SELECT {_COLUMNS} FROM images NOT INDEXED ORDER BY source, level, variant"
        stamp = self.stamp()
        hashes: dict[int, Any] = {}
        counts = Counter[int]()
        with self._clear_errors():
            for row in self._db.execute(rows):
                if row[-1] is not None and row[-1] != self._digest(row[:-1]):
                    raise self._damaged(f"the row of {Cell(*row[:3])} is not as it was written")
                if row[_STATUS] == MADE:
                    level = row[1]
                    if level not in hashes:
                        hashes[level] = hashlib.sha256()
                    hashes[level].update(row[_SHA256].encode())
                    counts[level] += 1
        levels = {level: (found.hexdigest(), counts[level]) for level, found in hashes.items()}
        self._levels = (stamp, levels)

    def images_of_level(self, level: int) -> tuple[str, int]:
        """(SHA-256 over the hashes of a level's images by source and variant, how many they are).

        Known from `check` as long as nobody has written since.
        """
        if self._levels is not None and self._levels[0] == self.stamp():
            return self._levels[1].get(level, (hashlib.sha256().hexdigest(), 0))
        images = hashlib.sha256()
        count = 0
        query = "SELECT sha256 FROM images WHERE status = ? AND level = ? ORDER BY source, variant"
        for (sha256,) in self.stream(query, (MADE, level)):
            images.update(sha256.encode())
            count += 1
        return images.hexdigest(), count

    def unsealed(self) -> int:
        """Rows of earlier versions, which have no digest."""
        ((count,),) = self.fetch("SELECT COUNT(*) FROM images WHERE digest IS NULL")
        return int(count)

    def _digest(self, row: tuple[Any, ...]) -> int:
        """64 bits, signed as SQLite holds them, of a row's columns and of whose catalogue it is."""
        return xxh3_64_intdigest((_TEXT % row).encode(), self._seed) - 2**63

    def fetch(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows that a query answers."""
        with self._clear_errors():
            return self._db.execute(query, values).fetchall()

    def stream(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows one by one, never all in memory."""
        with self._clear_errors():
            yield from self._db.execute(query, values)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of the block, or nothing of it."""
        with self._clear_errors():
            self._roll_back()  # what a Ctrl-C between two statements of Python has left open
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def add(self, shard: str, records: Iterable[ImageRecord]) -> None:
        """Enter a shard and its images; an image that is there already stays as it is."""
        with self.writing() as db:
            rows = ((*_as_stored(record), shard) for record in records)
            db.executemany(_INSERT, ((*row, self._digest(row)) for row in rows))
            db.execute("INSERT OR IGNORE INTO shards VALUES (?)", (shard,))

    def stamp(self) -> tuple[int, int]:
        """Differs from an earlier stamp whenever anybody has written in between."""
        ((data_version,),) = self.fetch("PRAGMA data_version")
        return int(data_version), self._db.total_changes

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Turn SQLite's errors into sentences."""
        try:
            yield
        except sqlite3.Error as error:
            # the low byte is the plain code; the rest is a finer one
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DISK_ERRORS:
                raise OSError(_DISK_ERRORS[code], str(error), str(self.path)) from error
            if code in _LOCKED:
                raise UserError(
                    f"{self.path} stayed locked for two minutes; end or resume the process that"
                    " uses it"
                ) from error
            if code or "decode to UTF-8" in str(error):  # the second is Python's own
                raise self._damaged(str(error)) from error
            raise

    def _damaged(self, why: str) -> DamagedCatalogueError:
        return DamagedCatalogueError(
            f"the catalogue {self.path} is damaged ({why}); `discl bank build` makes it again from"
            " the images, which are kept apart"
        )


def _as_stored(record: ImageRecord) -> ImageRecord:
    """A record as SQLite gives it back: scores are real numbers."""
    scores = (record.text_score, record.photo_score)
    text, photo = (None if score is None else float(score) for score in scores)
    return record._replace(text_score=text, photo_score=photo)
