"""Log of what was sent of a run, kept beside its attempts, with a lock against double uploads."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from discl.core.plain_files import open_file, plain_text
from discl.core.seals import opened_text, sealed_text

NAME = ".wandb-sent.json"
PAUSE_S = 0.3


@dataclass(frozen=True)
class SentRecord:
    """An attempt that was sent. It saves requests; what W&B holds is asked of W&B."""

    attempt: str
    rows: int
    complete: bool  # with the final summary


class AlreadySyncingError(Exception):
    """Another process uploads this run."""


class SentLog:
    """Sent records by destination (`url/entity/project`, or `offline`); writable while locked."""

    def __init__(self, opened: IO[str]) -> None:
        self._opened = opened
        self.records = _parse(opened.read())

    def write(self, destination: str, record: SentRecord) -> None:
        self.records[destination] = record
        self._opened.seek(0)
        self._opened.truncate()
        self._opened.write(sealed_text({key: asdict(sent) for key, sent in self.records.items()}))
        self._opened.flush()


@contextmanager
def locked_log(folder: Path, is_finished: Callable[[], bool] = lambda: False) -> Iterator[SentLog]:
    """The log of a run's folder, locked against other uploads until the block ends.

    Waits for another upload until `is_finished` returns true, then raises AlreadySyncingError. The
    lock is one of the operating system, so that a dead process holds none.
    """
    with open_file(folder / NAME, "a+", errors="replace") as opened:
        while True:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if is_finished():
                    raise AlreadySyncingError(str(folder)) from None
                time.sleep(PAUSE_S)
        opened.seek(0)
        yield SentLog(opened)


def sent_records(folder: Path) -> dict[str, SentRecord]:
    """The sent records of a run by destination; empty where the log is missing or damaged."""
    try:
        return _parse(plain_text(folder / NAME, errors="replace"))
    except OSError:
        return {}


def _parse(text: str) -> dict[str, SentRecord]:
    """None of a damaged log: W&B is asked what it holds."""
    try:
        content = opened_text((text or "{}").encode())
        return {destination: SentRecord(**record) for destination, record in content.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
