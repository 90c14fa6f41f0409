"""Hands the runs of an agenda to workers and takes their outcomes; each run is made once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from discl.core.errors import UserError
from discl.core.interfaces import Executor, NotReady, WorkersDied
from discl.files.disk import data_home, home
from discl.harness.run.store import Failure, Store
from discl.harness.sweep.planned_run import Outcome, PlannedRun
from discl.harness.sweep.runner import Runner

LOST_IN_A_ROW = 5  # after that no worker starts at all, and a long sweep would try all night


class Agenda(Protocol):
    """Decides what to run next, and receives the outcomes."""

    def next(self) -> PlannedRun | NotReady | None:
        """A run; NOT_READY while the next one depends on others; None when nothing is left."""

    def take(self, planned: PlannedRun, outcome: Outcome) -> None:
        """The outcome of a run that `next` gave."""


class RunObserver(Protocol):
    """Called when a run begins or ends."""

    def started(self, planned: PlannedRun) -> None: ...

    def ended(self, planned: PlannedRun, outcome: Outcome) -> None: ...


def launch(
    agenda: Agenda, executor: Executor, trackers: Sequence[str], observer: RunObserver
) -> None:
    """Make the runs of an agenda.

    Ctrl-C lets the runs under way finish, a second one stops at once; either is a KeyboardInterrupt
    in the end. Raises UserError where no worker comes up, or the disk is full.
    """
    prepare = partial(
        Runner,
        str(home().absolute()),
        str(data_home().absolute()),
        [name for name in trackers if name != "console"],
    )
    lost_in_a_row = 0
    with Store().sweeping(), interrupted_gently() as interrupted:
        for planned, answer in executor.run(prepare, _runs(agenda, observer, interrupted)):
            outcome = answer if isinstance(answer, Outcome) else _lost(planned, answer)
            agenda.take(planned, outcome)
            observer.ended(planned, outcome)
            lost_in_a_row = lost_in_a_row + 1 if isinstance(answer, WorkersDied) else 0
            _check_worth_going_on(outcome, lost_in_a_row)
        if interrupted.is_set():
            raise KeyboardInterrupt


def _runs(
    agenda: Agenda, observer: RunObserver, interrupted: threading.Event
) -> Iterator[PlannedRun | NotReady]:
    while not interrupted.is_set():
        planned = agenda.next()
        if planned is None:
            return
        if isinstance(planned, PlannedRun):
            observer.started(planned)
        yield planned


def _lost(planned: PlannedRun, died: WorkersDied) -> Outcome:
    """The failure of a run whose workers died, noted in the store."""
    failure = Failure("lost", died.about(planned.name), peak_bytes=died.peak_bytes)
    Store().note(planned.experiment.id(), failure)
    return Outcome(failure=failure)


def _check_worth_going_on(outcome: Outcome, lost_in_a_row: int) -> None:
    """Raise UserError after an outcome that the next runs would share."""
    if not outcome.failure:
        return
    if lost_in_a_row == LOST_IN_A_ROW:
        raise UserError(
            f"{lost_in_a_row} runs in a row lost their workers, so it is hardly the runs; the"
            f" last: {outcome.failure.why}"
        )
    if outcome.failure.kind == "disk":
        raise UserError(
            f"{outcome.failure.why}; what was finished is kept, and the same command goes"
            " on from there"
        )


@contextmanager
def interrupted_gently() -> Iterator[threading.Event]:
    """The first Ctrl-C sets the event and interrupts nothing; the second is a KeyboardInterrupt."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def handle(*_: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        os.write(2, b"stopping when the runs under way are done; Ctrl-C again stops now\n")

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, before)
