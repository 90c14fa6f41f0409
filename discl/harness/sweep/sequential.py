"""Runs a benchmark's experiments over one bank, in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.core.result import Result
from discl.engine.training import distributed
from discl.harness.run.assembly import Bench
from discl.harness.run.execute import RunOptions, run
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker


def sweep(spec: Benchmark, store: Store, tracker: CompositeTracker) -> Iterator[Result]:
    """Run every strategy and seed; what the store has is not run again.

    Yields results as they come.

    Under torchrun the first process writes and speaks; what the others would write goes into a
    folder that goes with them.
    """
    distributed.join()
    with ExitStack() as others:
        if not distributed.is_main_process():
            store = Store(Path(others.enter_context(tempfile.TemporaryDirectory())))
            tracker = CompositeTracker([])
        yield from _sweep(spec, store, tracker)


def _sweep(spec: Benchmark, store: Store, tracker: CompositeTracker) -> Iterator[Result]:
    wanted = experiments(spec)
    bench = Bench(spec)
    todo = distributed.broadcast(
        [experiment for experiment in wanted if store.find(experiment.id()) is None]
    )
    if todo:
        bench.dataset.prepare(tracker.progress)
    for experiment in wanted:
        place = todo.index(experiment) + 1 if experiment in todo else 0
        yield run(experiment, bench, store, tracker, RunOptions((place, len(todo))))
