"""What was sent of a run, remembered beside its attempts, and the lock that keeps two mirrors of
one run apart.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

NAME = ".mirror"
PAUSE_S = 0.3


@dataclass(frozen=True)
class Note:
    """An attempt as it was sent somewhere. It saves work; what W&B holds is asked of W&B."""

    attempt: str
    rows: int
    complete: bool  # with everything that comes at the end


class GivenUpError(Exception):
    """Another process mirrors this run, and there was no time to wait for it."""


class Notes:
    """Notes by place (`url/entity/project`, or `offline`), writable while the run is claimed."""

    def __init__(self, opened: IO[str]) -> None:
        self._opened = opened
        self.all = _read(opened.read())

    def write(self, place: str, note: Note) -> None:
        self.all[place] = note
        self._opened.seek(0)
        self._opened.truncate()
        json.dump({where: asdict(known) for where, known in self.all.items()}, self._opened)
        self._opened.flush()


@contextmanager
def claimed(folder: Path, over: Callable[[], bool] = lambda: False) -> Iterator[Notes]:
    """Nobody else mirrors the runs of this folder until the block ends; raises GivenUpError where
    `over` comes true first.

    A lock of the operating system: a process that dies holds nothing.
    """
    with (folder / NAME).open("a+", encoding="utf-8") as opened:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if over():
                    raise GivenUpError(str(folder)) from None
                time.sleep(PAUSE_S)
        opened.seek(0)
        yield Notes(opened)


def notes(folder: Path) -> dict[str, Note]:
    """What is remembered; nothing where that is half-written."""
    try:
        return _read((folder / NAME).read_text("utf-8"))
    except OSError:
        return {}


def _read(text: str) -> dict[str, Note]:
    try:
        told: dict[str, Any] = json.loads(text or "{}")
        return {place: Note(**note) for place, note in told.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
