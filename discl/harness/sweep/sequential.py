"""Runs a benchmark's experiments over one bank, in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment, experiments
from discl.core.result import Result
from discl.engine.training import distributed
from discl.engine.training.meeting import clear_lost_process
from discl.harness.bank.prompt_remarks import remarks_before_images
from discl.harness.run.assembly import Bench
from discl.harness.run.execute import RunOptions, run
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker

Begin = Callable[[Bench, Sequence[Experiment]], None]


def sweep(
    benchmark: Benchmark,
    store: Store,
    tracker: CompositeTracker,
    tell: Callable[[str], None] = lambda sentence: None,
    begin: Begin = lambda bench, todo: None,
) -> Iterator[Result]:
    """Run every strategy and seed that the store lacks; yields all results as they come.

    Before images are made, `tell` is given sentences about their prompts, if there are any, and
    `begin` the benchmark's parts and the runs to be made, if there are any. Under torchrun the main
    process writes and prints; what the others would write goes into a temporary folder. Raises
    UserError where one of the processes ends before the work does.
    """
    distributed.join()
    with ExitStack() as stack:
        stack.enter_context(clear_lost_process())
        if not distributed.is_main_process():
            store = Store(Path(stack.enter_context(tempfile.TemporaryDirectory())))
            tracker = CompositeTracker([])
        yield from _sweep(benchmark, store, tracker, tell, begin)


def _sweep(
    benchmark: Benchmark,
    store: Store,
    tracker: CompositeTracker,
    tell: Callable[[str], None],
    begin: Begin,
) -> Iterator[Result]:
    all_experiments = experiments(benchmark)
    bench = Bench(benchmark)
    todo = distributed.broadcast(
        [experiment for experiment in all_experiments if store.find(experiment.id()) is None]
    )
    if todo:
        bench.dataset.prepare(tracker.progress)
        if distributed.is_main_process():
            for sentence in remarks_before_images(bench):
                tell(sentence)
            begin(bench, todo)
    for experiment in all_experiments:
        number = todo.index(experiment) + 1 if experiment in todo else 0
        yield run(experiment, bench, store, tracker, RunOptions((number, len(todo))))
