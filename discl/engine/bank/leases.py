"""Who makes which images: several processes fill one bank, and no image is made twice.

A builder enters itself and the cells it takes into the catalogue. Another builder passes over those
cells while their owner lives. Whether it lives is told without comparing clocks: a process of this
machine is looked up, and any other must keep raising its counter, which the observer times on its
own clock.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.engine.bank.catalogue import Catalogue, Cell

BEAT_S = 2.0
SILENCE_S = 60.0  # a builder that has not beaten for this long is given up


class CellGrid(NamedTuple):
    """Images asked for: every level and the first `variants` draws of every photo."""

    sources: tuple[str, ...]
    levels: tuple[int, ...]
    variants: int

    def of(self, source: str) -> Iterator[Cell]:
        """The cells of one photo; all levels of a draw stand together, because they share their
        noise and their steps.
        """
        return (
            Cell(source, level, variant)
            for variant in range(self.variants)
            for level in self.levels
        )

    def __len__(self) -> int:
        return len(self.sources) * len(self.levels) * self.variants


class Builder:
    """A process that fills a bank, from `with` to the end of its block."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.id = uuid.uuid4().hex
        self._catalogue = catalogue
        self._stop = threading.Event()
        self._watch = _Watch()
        self._at = 0  # photos before this one have nothing to take

    def __enter__(self) -> Builder:
        with self._catalogue.writing() as db:
            db.execute(
                "INSERT INTO builders VALUES (?, ?, ?, ?, 0)",
                (self.id, _here(), os.getpid(), _born(os.getpid())),
            )
        self._pulse = threading.Thread(
            target=_beat, args=(self._catalogue.path, self.id, self._stop), daemon=True
        )
        self._pulse.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pulse.join()
        with self._catalogue.writing() as db:
            _bury(db, self.id)

    def claim(self, wanted: CellGrid, size: int) -> tuple[Cell, ...]:
        """Take up to `size` missing cells, photo by photo; () when all that is missing is being
        made by somebody.
        """
        self._bury_the_dead()
        taken: list[Cell] = []
        with self._catalogue.writing() as db:
            while self._at < len(wanted.sources) and len(taken) < size:
                free = list(_free(db, wanted, wanted.sources[self._at]))
                if taken and len(taken) + len(free) > size:
                    break  # leave the photo whole for the next lease
                taken += free[: size - len(taken)]
                if len(free) <= size:
                    self._at += 1
            db.executemany(
                "INSERT INTO leases VALUES (?, ?, ?, ?)", ((*cell, self.id) for cell in taken)
            )
        return tuple(taken)

    def start_over(self) -> None:
        """Look at every photo again: others may have given up what they held."""
        self._at = 0

    def release(self, cells: tuple[Cell, ...]) -> None:
        with self._catalogue.writing() as db:
            db.executemany(
                "DELETE FROM leases WHERE source = ? AND level = ? AND variant = ?", cells
            )

    def _bury_the_dead(self) -> None:
        if dead := [
            other.id
            for other in _builders(self._catalogue)
            if other.id != self.id and self._watch.is_dead(other)
        ]:
            with self._catalogue.writing() as db:
                for name in dead:
                    _bury(db, name)


class _Entry(NamedTuple):
    """What a builder wrote of itself."""

    id: str
    host: str
    pid: int
    born: str
    beat: int


def _builders(catalogue: Catalogue) -> list[_Entry]:
    return [
        _Entry(*row) for row in catalogue.rows("SELECT id, host, pid, born, beat FROM builders")
    ]


class _Watch:
    """Tells the dead from the living by looking at them again and again."""

    def __init__(self) -> None:
        self._seen: dict[
            str, tuple[int, float]
        ] = {}  # builder -> (its counter, when that changed on our clock)

    def is_dead(self, other: _Entry) -> bool:
        if other.host == _here() and _born(other.pid) != other.born:
            return True
        now = time.monotonic()
        counter, since = self._seen.get(other.id, (-1, now))
        if counter != other.beat:
            self._seen[other.id] = (other.beat, now)
            return False
        return now - since > SILENCE_S


class Occupancy(NamedTuple):
    """Whether anybody fills a bank, and who is entered there."""

    living: bool
    entered: frozenset[str]


def occupancy(catalogue: Catalogue) -> Occupancy:
    """Looks whether anybody fills this bank now; changes nothing.

    Takes up to `SILENCE_S` where a builder cannot be looked up and has to be watched.
    """
    watch = _Watch()
    first = {entry.id: entry for entry in _builders(catalogue)}
    while living := [entry for entry in _builders(catalogue) if not watch.is_dead(entry)]:
        # one of this machine is looked up; any other has newly come, or beaten, since we began to
        # look
        if any(entry.host == _here() or entry != first.get(entry.id) for entry in living):
            return Occupancy(True, frozenset(first))
        time.sleep(min(BEAT_S, SILENCE_S) / 4)
    return Occupancy(False, frozenset(first))


@contextmanager
def alone(catalogue: Catalogue, seen: Occupancy) -> Iterator[sqlite3.Connection]:
    """A transaction in which nobody can begin to fill the bank; refuses where somebody does, or has
    begun since `seen`.
    """
    with catalogue.writing() as db:
        if (
            seen.living
            or {name for (name,) in db.execute("SELECT id FROM builders")} - seen.entered
        ):
            raise UserError(f"{catalogue.path.parent} is being filled")
        yield db


def missing(catalogue: Catalogue, wanted: CellGrid) -> Iterator[Cell]:
    """Cells the bank lacks, whoever may be making them; never all in memory."""
    for source in wanted.sources:
        made = set(catalogue.rows("SELECT level, variant FROM images WHERE source = ?", (source,)))
        yield from (cell for cell in wanted.of(source) if cell[1:] not in made)


def _free(db: sqlite3.Connection, wanted: CellGrid, source: str) -> Iterator[Cell]:
    query = (
        "SELECT level, variant FROM images WHERE source = ?1 UNION ALL SELECT level, variant FROM"
        " leases WHERE source = ?1"
    )
    taken = set(db.execute(query, (source,)))
    return (cell for cell in wanted.of(source) if cell[1:] not in taken)


def _bury(db: sqlite3.Connection, builder: str) -> None:
    db.execute("DELETE FROM leases WHERE builder = ?", (builder,))
    db.execute("DELETE FROM builders WHERE id = ?", (builder,))


def _beat(path: Path, builder: str, stop: threading.Event) -> None:
    """Raise the builder's counter until told to stop, over a connection of its own."""
    catalogue = Catalogue(path)
    try:
        while not stop.wait(BEAT_S):
            # a beat missed because the disk is full or busy is no reason to die: the next one may
            # come through
            with suppress(OSError, UserError), catalogue.writing() as db:
                db.execute("UPDATE builders SET beat = beat + 1 WHERE id = ?", (builder,))
    finally:
        catalogue.close()


def _here() -> str:
    """This machine since its last start, and this container: where a process number means one
    process.
    """
    parts = [socket.gethostname()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(),
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        try:
            parts.append(read())
        except OSError:  # no Linux: the name of the machine must do
            parts.append("")
    return "/".join(parts)


def _born(pid: int) -> str:
    """When a process of this machine was started, "" where none has that number: numbers are used
    again, births are not.
    """
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
        )
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "unknown"
