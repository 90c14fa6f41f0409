"""Runs many experiments over one bank, and says beforehand what they will cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from discl.engine import ranks
from discl.harness.experiment import Audience, Bench
from discl.harness.running import run
from discl.harness.store import Store
from discl.spec.benchmark import Benchmark, Experiment, experiments
from discl.spec.kinds import Announce
from discl.spec.levels import PHOTO, denoising_steps
from discl.spec.result import Result


@dataclass(frozen=True)
class Price:
    """What a sweep will do, before it does it."""

    experiments: int
    cached: int
    images: int  # to be made
    denoising_steps: int
    bytes: int  # of images, an estimate
    optimiser_steps: int
    trained_images: int
    minutes: float  # on this machine, measured on a sample; NaN where it was not measured


def sweep(spec: Benchmark, store: Store, audience: Audience) -> Iterator[Result]:
    """Run every strategy and seed; what the store has is not run again. Yields results as they come.

    Under torchrun the first process writes and speaks; what the others would write goes into a folder that goes with them.
    """
    ranks.join()
    with ExitStack() as others:
        if not ranks.first():
            store, audience = Store(Path(others.enter_context(tempfile.TemporaryDirectory()))), Audience([])
        yield from _sweep(spec, store, audience)


def _sweep(spec: Benchmark, store: Store, audience: Audience) -> Iterator[Result]:
    wanted, bench = experiments(spec), Bench(spec)
    todo = ranks.agreed([experiment for experiment in wanted if store.find(experiment.id()) is None])
    if todo:
        bench.dataset.prepare(audience.announce)
    for experiment in wanted:
        place = todo.index(experiment) + 1 if experiment in todo else 0
        yield run(experiment, bench, store, audience, (place, len(todo)))


def price(spec: Benchmark, store: Store, announce: Announce) -> Price:
    """The cost of `sweep(spec)` now. Prepares the data, since how much must be made depends on it."""
    wanted, bench = experiments(spec), Bench(spec)
    todo = [experiment for experiment in wanted if store.find(experiment.id()) is None]
    if not todo:
        return Price(len(wanted), len(wanted), 0, 0, 0, 0, 0, 0.0)
    bench.dataset.prepare(announce)
    levels = sorted({level for experiment in todo for level in experiment.used_levels() if level != PHOTO})
    missing = list(bench.bank.missing(bench.wanted(levels))) if levels else []
    steps = sum(denoising_steps(cell.level, bench.generator.steps) for cell in missing)
    epochs = len(todo) * spec.train.epochs
    return Price(
        experiments=len(wanted),
        cached=len(wanted) - len(todo),
        images=len(missing),
        denoising_steps=steps,
        bytes=len(missing) * int(bench.sources.photos[0].size * 0.8) if missing else 0,
        optimiser_steps=epochs * (bench.targets.images // spec.train.batch),
        trained_images=epochs * bench.targets.images,
        minutes=_minutes(bench, todo, steps),
    )


def _minutes(bench: Bench, todo: Sequence[Experiment], steps: int) -> float:
    """Time one batch of each kind of work here, and multiply."""
    from discl.harness.timing import seconds_per_denoising_step, seconds_per_run

    making = steps * seconds_per_denoising_step(bench) if steps else 0.0
    return (making + len(todo) * seconds_per_run(bench)) / 60
