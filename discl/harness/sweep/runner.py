"""Makes runs in a worker, one after the other: torch is imported once, parts are built once."""

from __future__ import annotations

import os
import resource
import time
import traceback
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.errors import DiskError, UserError
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.harness.run import events
from discl.harness.run.assembly import Bench
from discl.harness.run.execute import RunOptions, StoppedEarlyError, run
from discl.harness.run.store import BusyError, Failure, Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.planned_run import Outcome, PlannedRun
from discl.harness.sweep.run_status import noting_status

BENCHES = 4  # benchmarks whose parts a worker keeps


class Runner:
    """Called with a run, returns its outcome; an exception is an outcome too."""

    def __init__(self, home_folder: str, data_folder: str, trackers: Sequence[str]) -> None:
        os.environ["DISCL_HOME"] = home_folder
        os.environ["DISCL_DATA"] = data_folder
        self.store = Store()
        self.benches = OrderedDict[int, Bench]()
        self.tracker = CompositeTracker.of(trackers)

    def __call__(self, planned: PlannedRun) -> Outcome:
        started = time.monotonic()
        try:
            outcome = self._outcome(planned)
        except BusyError:
            return Outcome()
        return replace(outcome, seconds=time.monotonic() - started)

    def _outcome(self, planned: PlannedRun) -> Outcome:
        experiment = planned.experiment
        options = RunOptions(
            group=planned.group, trial=planned.trial, wait=False, stop=planned.stop
        )
        try:
            with noting_status(self.store, experiment, self.tracker) as tracker:
                bench = self.bench_of(experiment.benchmark)
                bench.dataset.prepare(tracker.progress)
                result = run(experiment, bench, self.store, tracker, options)
                costs = bench.costs(experiment.used_levels())
        except BusyError:
            raise
        except StoppedEarlyError as stopped:
            failure = Failure("stopped", str(stopped))
            curve = _curve(stopped.history, experiment.benchmark.select.metric)
            return Outcome(failure=failure, curve=curve)
        except Exception as error:
            return Outcome(failure=self._failure(experiment, error))
        return Outcome(
            result,
            costs={f"cost/{name}": cost for name, cost in costs.items()},
            curve=self._recorded_curve(result),
        )

    def bench_of(self, benchmark: Benchmark) -> Bench:
        """The parts of a benchmark; strategies and seeds are the experiment's."""
        key = hash(benchmark.model_dump_json(exclude={"strategies", "seeds", "trackers"}))
        bench = self.benches.pop(key, None) or Bench(benchmark)
        self.benches[key] = bench
        while len(self.benches) > BENCHES:
            _, oldest = self.benches.popitem(last=False)
            oldest.close()
        return bench

    def _failure(self, experiment: Experiment, error: Exception) -> Failure:
        """The failure that an exception is, noted in the store unless its disk is full."""
        kind = "disk" if isinstance(error, DiskError) else "error"
        why = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        failure = Failure(kind, why, "".join(traceback.format_exception(error)), _peak_bytes())
        try:
            if kind != "disk":
                self.store.note(experiment.id(), failure)
        except DiskError as full:  # the cause, though the run's exception did not say so
            return replace(failure, kind="disk", why=str(full))
        return failure

    def _recorded_curve(self, result: Result) -> tuple[tuple[int, float], ...]:
        """The curve of a run that may have been made long ago."""
        history = events.epochs(self.store.folder(result))
        return _curve(history, str(result.identity["select"]["metric"]))


def _curve(history: Sequence[EpochReport], metric: str) -> tuple[tuple[int, float], ...]:
    return tuple(
        (report.epoch, report.values[metric]) for report in history if metric in report.values
    )


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
