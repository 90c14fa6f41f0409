"""Progress of work that is done in passing, such as reading files because an id is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[str, int, int], None]  # (name of the work, units done, units in all)


def no_progress(what: str, done: int, total: int) -> None:
    """A progress callback that does nothing."""


_SHOWN: ContextVar[Progress] = ContextVar("progress", default=no_progress)


def shown_progress() -> Progress:
    """Where work in passing tells its progress."""
    return _SHOWN.get()


@contextmanager
def showing(progress: Progress) -> Iterator[None]:
    """Work in passing tells `progress` within the block."""
    token = _SHOWN.set(progress)
    try:
        yield
    finally:
        _SHOWN.reset(token)


class PatientProgress:
    """A progress callback that `progress` hears of only where the work lasts.

    `patience_s`: seconds after the beginning of a work from which on it is told.
    """

    def __init__(self, progress: Progress, patience_s: float = 1.0) -> None:
        self._progress = progress
        self._patience_s = patience_s
        self._began_s: dict[str, float] = {}
        self._told = set[str]()

    def __call__(self, what: str, done: int, total: int) -> None:
        began_s = self._began_s.setdefault(what, time.monotonic())
        if what not in self._told and time.monotonic() - began_s >= self._patience_s:
            self._told.add(what)
            self._progress(what, 0, total)
        if what in self._told:
            self._progress(what, done, total)
        if done >= total:
            self._began_s.pop(what)
            self._told.discard(what)
