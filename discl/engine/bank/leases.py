"""Leases: several processes fill one bank, and no image is made twice.

A builder takes cells by entering them into the catalogue under its id; other builders pass over
them while it is alive. A builder is alive as long as it holds the lock on its file in `builders/`:
the kernel releases the lock of a process that died, so no clock and no process number is compared.
Who has a bank open for its work shares the lock on `in_use`, so that nobody removes it meanwhile.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.plain_files import open_file
from discl.engine.bank.catalogue import Catalogue, Cell

IN_USE = "in_use"  # a file in a bank: locked while it is open, and as old as its last use


class CellGrid(NamedTuple):
    """Images asked for: every level and the first `variants` draws of every photo."""

    sources: tuple[str, ...]
    levels: tuple[int, ...]
    variants: int

    def of(self, source: str) -> Iterator[Cell]:
        """The cells of one photo.

        All levels of a draw stand together, because they share their noise and their steps.
        """
        for variant in range(self.variants):
            for level in self.levels:
                yield Cell(source, level, variant)

    def __len__(self) -> int:
        return len(self.sources) * len(self.levels) * self.variants


class Builder:
    """A process that fills a bank, from `with` to the end of its block."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.id = uuid.uuid4().hex
        self._catalogue = catalogue
        self._folder = catalogue.path.parent / "builders"
        self.held = set[Cell]()  # cells taken and not given back, as they were when it ended
        self._next_source = 0  # photos before this one have nothing to take

    def __enter__(self) -> Builder:
        self._folder.mkdir(exist_ok=True)
        # locked before it has its name, so that no process finds it without its lock
        unnamed = self._folder / f".{self.id}"
        self._lock = open_file(unnamed, "wb")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            unnamed.rename(self._folder / self.id)
        except BaseException:
            self._lock.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            _remove(self._catalogue, [self.id])

    def claim(self, wanted: CellGrid, size: int) -> tuple[Cell, ...]:
        """Take up to `size` missing cells, photo by photo.

        Returns () when other builders are making all that is missing.
        """
        remove_dead_builders(self._catalogue, living=self.id)
        taken: list[Cell] = []
        with self._catalogue.writing() as db:
            while self._next_source < len(wanted.sources) and len(taken) < size:
                free = list(_free(db, wanted, wanted.sources[self._next_source]))
                if taken and len(taken) + len(free) > size:
                    break  # leave the photo whole for the next lease
                taken += free[: size - len(taken)]
                if len(free) <= size:
                    self._next_source += 1
            leases = ((*cell, self.id) for cell in taken)
            db.executemany("INSERT INTO leases VALUES (?, ?, ?, ?)", leases)
        self.held.update(taken)
        return tuple(taken)

    def start_over(self) -> None:
        """Look at every photo again: others may have given up what they held."""
        self._next_source = 0

    def release(self, cells: tuple[Cell, ...]) -> None:
        """Give cells back, made or not."""
        with self._catalogue.writing() as db:
            db.executemany(
                "DELETE FROM leases WHERE source = ? AND level = ? AND variant = ?", cells
            )
        self.held.difference_update(cells)


def remove_dead_builders(catalogue: Catalogue, living: str = "") -> None:
    """Give back the cells of builders that died, then remove their files.

    `living` is the id of the caller: some disks do not hold a process off its own locks.
    """
    holders = {name for (name,) in catalogue.fetch("SELECT DISTINCT builder FROM leases")}
    folder = catalogue.path.parent / "builders"
    others = (holders | _entered(folder)) - {living}
    dead = [name for name in others if not _is_alive(folder, name)]
    if dead:
        _remove(catalogue, dead)


def _remove(catalogue: Catalogue, builders: list[str]) -> None:
    with catalogue.writing() as db:
        db.executemany("DELETE FROM leases WHERE builder = ?", ((name,) for name in builders))
    for name in builders:
        (catalogue.path.parent / "builders" / name).unlink(missing_ok=True)


def is_being_filled(bank: Path) -> bool:
    """Whether a living builder fills the bank in that folder; changes nothing."""
    folder = bank / "builders"
    return any(_is_alive(folder, name) for name in _entered(folder))


def dead_builders(bank: Path) -> list[Path]:
    """The files of builders that died, of a bank that nobody fills."""
    folder = bank / "builders"
    return [folder / name for name in sorted(_entered(folder)) if not _is_alive(folder, name)]


def hold(bank: Path, make: Callable[[], None]) -> int | None:
    """Open the bank in a folder for work: until the returned descriptor is closed it stays there.

    `make` makes the folder, and is called again where another process has just moved it away. None
    where the bank can only be read, so that nobody can remove it either.
    """
    while True:
        make()
        try:
            number = os.open(bank / IN_USE, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError:
            return None
        with suppress(OSError):  # a disk without locks
            fcntl.flock(number, fcntl.LOCK_SH)
        with suppress(OSError):
            if os.path.samestat(os.fstat(number), os.stat(bank / IN_USE)):
                os.utime(number)
                return number
        os.close(number)


def is_in_use(bank: Path) -> bool:
    """Whether a living process has the bank open for its work."""
    return _is_alive(bank, IN_USE, fcntl.LOCK_EX)


@contextmanager
def unused(bank: Path) -> Iterator[None]:
    """Nobody has the bank open for work until the block ends.

    Raises UserError where somebody has.
    """
    with open_file(bank / IN_USE, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{bank} is in use; try again when that work is done") from error
        yield


@contextmanager
def exclusive(catalogue: Catalogue) -> Iterator[sqlite3.Connection]:
    """A transaction in which no builder can take a cell.

    Raises UserError where one is filling the bank.
    """
    with catalogue.writing() as db:
        if is_being_filled(catalogue.path.parent):
            raise UserError(
                f"{catalogue.path.parent} is being filled; try again when that build is done"
            )
        yield db


def missing(catalogue: Catalogue, wanted: CellGrid) -> Iterator[Cell]:
    """Cells the bank lacks, made by another builder or not; never all in memory."""
    query = "SELECT level, variant FROM images WHERE source = ?"
    for source in wanted.sources:
        made = set(catalogue.fetch(query, (source,)))
        yield from (cell for cell in wanted.of(source) if cell[1:] not in made)


def count_missing(catalogue: Catalogue, wanted: CellGrid) -> dict[int, int]:
    """As many cells of each level as `missing` gives, counted without going through them."""
    query = "SELECT source, level, COUNT(*) FROM images WHERE variant < ? GROUP BY source, level"
    sources = frozenset(wanted.sources)
    counts = dict.fromkeys(wanted.levels, len(wanted.sources) * wanted.variants)
    for source, level, made in catalogue.fetch(query, (wanted.variants,)):
        if level in counts and source in sources:
            counts[level] -= made
    return counts


def _free(db: sqlite3.Connection, wanted: CellGrid, source: str) -> Iterator[Cell]:
    query = (
        "SELECT level, variant FROM images WHERE source = ?1 UNION ALL SELECT level, variant FROM"
        " leases WHERE source = ?1"
    )
    taken = set(db.execute(query, (source,)))
    return (cell for cell in wanted.of(source) if cell[1:] not in taken)


def _entered(folder: Path) -> set[str]:
    """Ids of builders that have a file, alive or dead."""
    return {path.name for path in folder.glob("*") if not path.name.startswith(".")}


def _is_alive(folder: Path, builder: str, kind: int = fcntl.LOCK_SH) -> bool:
    try:
        with open_file(folder / builder, "rb") as lock:
            fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
