"""Progress: of work that is done in passing, and how much work is done and left.

Whoever works tells what it does; who is told stands in the context, so that no function between the
two has to pass it on.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import NamedTuple, Protocol
from weakref import WeakMethod

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


# ---------------------------------------------------------------- work done and left

DENOISING = "denoising steps"  # images times steps
TRAINING = "training steps"


class Work(Protocol):
    """Is told of units of work, of the kinds above or of others."""

    def expect(self, kind: str, units: int, seconds: float = math.nan) -> None:
        """So many units are still to be done, or more, of some seconds each; nan = not known."""

    def done(self, kind: str, units: int, *, now: bool = True) -> None:
        """So many units are done; not `now`: before, or elsewhere, which says nothing of a pace."""


class _Untold:
    def expect(self, kind: str, units: int, seconds: float = math.nan) -> None: ...

    def done(self, kind: str, units: int, *, now: bool = True) -> None: ...


_WORK: ContextVar[Work] = ContextVar("work", default=_Untold())  # noqa: B039 - it has no state


def work() -> Work:
    """Whom to tell of work."""
    return _WORK.get()


@contextmanager
def counting(told: Work) -> Iterator[None]:
    """Work is told to `told` within the block."""
    token = _WORK.set(told)
    try:
        yield
    finally:
        _WORK.reset(token)


class PartOfWork:
    """A part of some kind of work whose size is known, whoever tells how much of it is done.

    Passes on no more than `units`; `told` of them so far. `stepped` is called with each change.
    """

    def __init__(
        self, kind: str, units: int, stepped: Callable[[int], None] = lambda told: None
    ) -> None:
        self.kind = kind
        self.units = units
        self.told = 0
        self._stepped = stepped
        self._outer = work()

    def expect(self, kind: str, units: int, seconds: float = math.nan) -> None:
        if kind != self.kind:
            self._outer.expect(kind, units, seconds)

    def done(self, kind: str, units: int, *, now: bool = True) -> None:
        if kind == self.kind:
            units = min(units, self.units - self.told)
            self.told += units
        if units:
            self._outer.done(kind, units, now=now)
            self._stepped(self.told)

    def reach(self, units: int, *, now: bool = True) -> None:
        """At least so many units are done, told or not: work in another process tells nothing."""
        if units > self.told:
            self.done(self.kind, units - self.told, now=now)


class TimeLeft(NamedTuple):
    """How long the work that is left takes."""

    seconds: float
    is_all: bool  # False: some of it is of a kind whose pace is not known, and comes on top
    unknown: tuple[str, ...] = ()  # those kinds


class WorkClock:
    """Counts work, and tells from its pace so far how long the rest takes.

    The pace of a kind is that of the time in which it alone was done.
    """

    def __init__(self) -> None:
        self._total: dict[str, int] = {}
        self._finished: dict[str, int] = {}
        self._paced: dict[str, tuple[int, float]] = {}  # units, and the seconds they took
        self._paces: dict[str, float] = {}  # seconds a unit, as said before it was seen
        self._last: tuple[str, float] | None = None  # the kind told last, and when
        self._share = 0.0

    def expect(self, kind: str, units: int, seconds: float = math.nan) -> None:
        """So many units are still to be done, or more, of some seconds each; nan = not known.

        Those seconds count until the first units are done.
        """
        least = self._finished.get(kind, 0) + units
        self._total[kind] = max(self._total.get(kind, 0), least)
        if not math.isnan(seconds):
            self._paces[kind] = seconds

    def done(self, kind: str, units: int, *, now: bool = True) -> None:
        """So many units are done; not `now`: before, or elsewhere, which says nothing of a pace."""
        self._finished[kind] = self._finished.get(kind, 0) + units
        self._total[kind] = max(self._total.get(kind, 0), self._finished[kind])
        if not now:
            return
        time_s = time.monotonic()
        if self._last and self._last[0] == kind:
            paced, seconds = self._paced.get(kind, (0, 0.0))
            self._paced[kind] = (paced + units, seconds + time_s - self._last[1])
        self._last = (kind, time_s)

    def pause(self) -> None:
        """Something else is done until the next unit."""
        self._last = None

    def _pace(self, kind: str) -> float | None:
        """Seconds a unit; None = not known."""
        units, seconds = self._paced.get(kind, (0, 0.0))
        return seconds / units if units else self._paces.get(kind)

    def time_left(self) -> TimeLeft | None:
        """Of all that is expected; None where nothing is known, or nothing left."""
        left = {
            kind: total - self._finished.get(kind, 0)
            for kind, total in dict(self._total).items()  # a copy: threads ask, too
        }
        paces = {kind: self._pace(kind) for kind, units in left.items() if units}
        known = [left[kind] * pace for kind, pace in paces.items() if pace is not None]
        if not known:
            return None
        last = self._last
        since_s = time.monotonic() - last[1] if last else 0.0
        unknown = tuple(kind for kind, pace in paces.items() if pace is None)
        return TimeLeft(max(0.0, sum(known) - since_s), not unknown, unknown)

    def share(self) -> float:
        """The share of the work that is done, 0 .. 1; it never falls.

        Kinds weigh by their paces, or alike as long as one is not known.
        """
        paces = {kind: self._pace(kind) for kind in dict(self._total)}
        known = [pace for pace in paces.values() if pace is not None]
        usual = sum(known) / len(known) if known else 1.0
        weights = {kind: usual if pace is None else pace for kind, pace in paces.items()}
        total = sum(self._total[kind] * weights[kind] for kind in paces)
        finished = sum(self._finished.get(kind, 0) * weights[kind] for kind in paces)
        if total:
            self._share = max(self._share, min(1.0, finished / total))
        return self._share


# ---------------------------------------------------------------- stops

_told_of_stops: list[WeakMethod[Callable[[], None]]] = []


def tell_of_stops(continued: Callable[[], None]) -> None:
    """Call a method whenever this process goes on after a stop, as by Ctrl-Z and `fg`.

    It does not keep its object alive. Outside of the main thread nothing is told.
    """
    _told_of_stops[:] = [told for told in _told_of_stops if told()]
    _told_of_stops.append(WeakMethod(continued))
    with suppress(ValueError):
        signal.signal(signal.SIGCONT, _continued)


def _continued(_signal: int, _frame: object) -> None:
    for told in list(_told_of_stops):
        if method := told():
            method()
