"""Hands runs to workers and takes what comes back: whoever works and whatever dies, each run is
made once.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.errors import DiskError, UserError
from discl.core.interfaces import NOT_READY, EpochReport, Executor, NotReady, WorkersDied
from discl.core.result import Result
from discl.files.disk import data_home, home
from discl.harness.run import events
from discl.harness.run.assembly import Bench
from discl.harness.run.execute import RunOptions, StoppedEarlyError, run
from discl.harness.run.store import BusyError, Failure, Store
from discl.harness.run.trackers import CompositeTracker

BENCHES = 4  # whose parts a worker keeps
LOST_IN_A_ROW = 5  # where no worker comes up at all, a long sweep would spend a night on it
PAUSE_S = 2.0  # between two looks at a run that somebody else makes
Stop = Callable[[Sequence[EpochReport]], bool]


@dataclass(frozen=True)
class PlannedRun:
    """A run to be made. `tag` means something to the agenda alone."""

    experiment: Experiment
    group: str = ""  # what it belongs to, for trackers
    label: str = ""  # what a person sees; "" = the experiment's name
    stop: Stop | None = None
    tag: Any = None
    trial: int | None = None  # of the study `group`, for trackers

    @property
    def name(self) -> str:
        return self.label or self.experiment.name


@dataclass(frozen=True)
class Outcome:
    """What became of a job: a result, or a failure, or (neither) somebody else is at it."""

    result: Result | None = None
    failure: Failure | None = None
    costs: dict[str, float] = field(
        default_factory=dict
    )  # cost/...: what the run's images take, made or not
    curve: tuple[tuple[int, float], ...] = ()  # (epoch, what chooses) at each look at val
    seconds: float = 0.0


class Agenda(Protocol):
    """Says what to run, and learns what became of it."""

    def next(self) -> PlannedRun | NotReady | None:
        """A job; NOT_READY while the next one hangs on others; None when nothing is left."""

    def take(self, job: PlannedRun, outcome: Outcome) -> None:
        """What became of a job it gave out."""


class Watcher(Protocol):
    """Sees a sweep go by."""

    def given(self, job: PlannedRun) -> None: ...

    def took(self, job: PlannedRun, outcome: Outcome) -> None: ...


# ---------------------------------------------------------------- the launcher


def launch(agenda: Agenda, executor: Executor, trackers: Sequence[str], watcher: Watcher) -> None:
    """Work an agenda off.

    Ctrl-C lets the runs under way finish, a second one stops at once; either is a KeyboardInterrupt
    in the end.
    """
    prepare = partial(
        Runner,
        str(home().absolute()),
        str(data_home().absolute()),
        [name for name in trackers if name != "console"],
    )
    lost: list[Outcome] = []
    with draining() as asked_to_stop:
        for job, answer in executor.run(prepare, _jobs(agenda, watcher, asked_to_stop)):
            outcome = answer if isinstance(answer, Outcome) else _lost(job, answer)
            agenda.take(job, outcome)
            watcher.took(job, outcome)
            lost = [*lost, outcome] if isinstance(answer, WorkersDied) else []
            if len(lost) == LOST_IN_A_ROW and outcome.failure:
                raise UserError(
                    f"{len(lost)} runs in a row lost their workers, so it is hardly the runs; the"
                    f" last: {outcome.failure.why}"
                )
            if outcome.failure and outcome.failure.kind == "disk":
                raise UserError(
                    f"{outcome.failure.why}; what was finished is kept, and the same command goes"
                    " on from there"
                )
        if asked_to_stop.is_set():
            raise KeyboardInterrupt


def _jobs(
    agenda: Agenda, watcher: Watcher, asked_to_stop: threading.Event
) -> Iterator[PlannedRun | NotReady]:
    while not asked_to_stop.is_set() and (job := agenda.next()) is not None:
        if isinstance(job, PlannedRun):
            watcher.given(job)
        yield job


def _lost(job: PlannedRun, lost: WorkersDied) -> Outcome:
    failure = Failure("lost", lost.about(job.name), peak_bytes=lost.peak_bytes)
    Store().note(job.experiment.id(), failure)
    return Outcome(failure=failure)


@contextmanager
def draining() -> Iterator[threading.Event]:
    """The first Ctrl-C sets the event and interrupts nothing; the second is a KeyboardInterrupt."""
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def heard(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        os.write(2, b"stopping when the runs under way are done; Ctrl-C again stops now\n")

    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    signal.signal(signal.SIGINT, heard)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


# ---------------------------------------------------------------- in a worker


class Runner:
    """Makes runs, one after the other, in one process: torch is imported once, and a benchmark's
    parts are built once.
    """

    def __init__(self, home_folder: str, data_folder: str, trackers: Sequence[str]) -> None:
        os.environ["DISCL_HOME"], os.environ["DISCL_DATA"] = home_folder, data_folder
        self.store = Store()
        self.benches = OrderedDict[int, Bench]()
        self.tracker = CompositeTracker.of(trackers)

    def __call__(self, job: PlannedRun) -> Outcome:
        started = time.monotonic()
        experiment = job.experiment
        try:
            with _status(self.store, experiment, self.tracker) as tracker:
                bench = self._bench(experiment.benchmark)
                bench.dataset.prepare(tracker.progress)
                result = run(
                    experiment,
                    bench,
                    self.store,
                    tracker,
                    RunOptions(group=job.group, trial=job.trial, wait=False, stop=job.stop),
                )
                costs = {f"cost/{name}": cost for name, cost in bench.costs(experiment.used_levels()).items()}
        except BusyError:
            return Outcome()
        except StoppedEarlyError as stopped:
            failure = Failure("stopped", str(stopped))
            curve = _curve(stopped.history, experiment.benchmark.select.metric)
            return Outcome(failure=failure, curve=curve, seconds=time.monotonic() - started)
        except Exception as error:
            return Outcome(
                failure=self._failed(experiment, error), seconds=time.monotonic() - started
            )
        return Outcome(
            result, costs=costs, curve=self._recorded(result), seconds=time.monotonic() - started
        )

    def _bench(self, spec: Benchmark) -> Bench:
        """The parts of a benchmark; strategies and seeds are the experiment's."""
        key = hash(spec.model_dump_json(exclude={"strategies", "seeds", "trackers"}))
        bench = self.benches.pop(key, None) or Bench(spec)
        self.benches[key] = bench
        while len(self.benches) > BENCHES:
            self.benches.popitem(last=False)[1].close()
        return bench

    def _failed(self, experiment: Experiment, error: Exception) -> Failure:
        kind = "disk" if isinstance(error, DiskError) else "error"
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        failure = Failure(kind, why, "".join(traceback.format_exception(error)), _peak_bytes())
        try:
            if kind != "disk":
                self.store.note(experiment.id(), failure)
        except DiskError as full:  # what failed the run may not have said so
            return replace(failure, kind="disk", why=str(full))
        return failure

    def _recorded(self, result: Result) -> tuple[tuple[int, float], ...]:
        """The curve of a run that may have been made long ago."""
        return _curve(
            events.epochs(self.store.folder(result)), str(result.identity["select"]["metric"])
        )


def _curve(history: Sequence[EpochReport], metric: str) -> tuple[tuple[int, float], ...]:
    return tuple(
        (report.epoch, report.values[metric]) for report in history if metric in report.values
    )


def _peak_bytes() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextmanager
def _status(store: Store, experiment: Experiment, tracker: CompositeTracker) -> Iterator[CompositeTracker]:
    """A tracker that leaves a note of how far the run is, for whoever launched it."""
    note = _Note(store.root / experiment.id() / ".status")
    try:
        yield CompositeTracker([*tracker.trackers, note])
    finally:
        with suppress(OSError):
            note.path.unlink()


class _Note:
    """A tracker that writes how far a run is, once a second at most."""

    version = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epochs = 0
        self.written = 0.0

    def start(self, run: Mapping[str, Any]) -> None:
        self.epochs = run["epochs"]

    def progress(self, what: str, done: int, total: int) -> None:
        if time.monotonic() - self.written > 1.0:
            self.written = time.monotonic()
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.write_text(json.dumps([what, done, total]), "utf-8")
            except OSError:  # for the eye only
                return

    def report(self, report: EpochReport) -> None:
        self.progress("training", report.epoch + 1, self.epochs)

    def finish(self, summary: Mapping[str, float] | None) -> None:
        return None


def status(experiment: Experiment) -> tuple[str, int, int] | None:
    """(what is being done, done, of how many) for a run under way, as far as it is known here."""
    try:
        what, done, total = json.loads(
            (Store().root / experiment.id() / ".status").read_text("utf-8")
        )
        return str(what), int(done), int(total)
    except (OSError, ValueError):
        return None


# ---------------------------------------------------------------- a list of runs


class RunList:
    """The agenda of a plain list: what the store has is not run, what fails is tried `retry` times
    more, what others make is waited for.
    """

    def __init__(
        self,
        experiments: Iterable[Experiment],
        store: Store,
        retry: int = 0,
        group: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.store = store
        self.retry = retry
        self.group = group
        self.labels = labels or {}
        self.results: dict[str, Result] = {}
        self.failures: dict[str, Failure] = {}
        self.named = {experiment.id(): experiment for experiment in experiments}
        self.tries = dict.fromkeys(self.named, 0)
        for id in self.named:
            if found := store.find(id):
                self.results[id] = found
        self.stored = len(self.results)
        self.todo = deque(id for id in self.named if id not in self.results)
        self.elsewhere: dict[str, float] = {}  # runs that others make -> when we looked last
        self.under_way = 0

    def next(self) -> PlannedRun | NotReady | None:
        if not self.todo:
            self._look_elsewhere()
        if self.todo:
            self.under_way += 1
            id = self.todo.popleft()
            return PlannedRun(self.named[id], self.group, self.labels.get(id, ""))
        return NOT_READY if self.elsewhere or self.under_way else None

    def _look_elsewhere(self) -> None:
        """Runs others were at are tried again after a while: they are there by then, or free, or
        still busy.
        """
        now = time.monotonic()
        for id in [id for id, looked in self.elsewhere.items() if now - looked > PAUSE_S]:
            del self.elsewhere[id]
            self.todo.append(id)

    def take(self, job: PlannedRun, outcome: Outcome) -> None:
        id = job.experiment.id()
        self.under_way -= 1
        if outcome.result:
            self.results[id] = outcome.result
            self.failures.pop(id, None)
        elif outcome.failure:
            self.failures[id] = outcome.failure
            self.tries[id] += 1
            if self.tries[id] <= self.retry:
                self.todo.append(id)
        else:
            self.elsewhere[id] = time.monotonic()
