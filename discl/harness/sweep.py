"""Runs many experiments over one bank, and says beforehand what they will cost."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
    judges: int  # models to train first, to find the hard photos
    hard: int | None  # photos that images are made from; None = only the judges can tell
    images: int  # to be made, as far as it is known
    denoising_steps: int
    bytes: int  # of images, an estimate
    optimiser_steps: int  # of the judges too
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
    """The cost of `sweep(spec)` now. Prepares the data, since how much must be made depends on it; trains and makes nothing."""
    wanted, bench = experiments(spec), Bench(spec)
    todo = [experiment for experiment in wanted if store.find(experiment.id()) is None]
    if not todo:
        return Price(len(wanted), len(wanted), 0, 0, 0, 0, 0, 0, 0, 0.0)
    bench.dataset.prepare(announce)
    levels = sorted({level for experiment in todo for level in experiment.used_levels() if level != PHOTO})
    judging = _judging(bench)
    hard = bench.hard_rule.expected() if judging else len(bench.hard)
    images, steps = _all(bench, levels, hard or 0) if judging else _missing(bench, levels)
    trained = len(todo) * spec.train.epochs * bench.epoch_images + sum(judging)
    return Price(
        experiments=len(wanted),
        cached=len(wanted) - len(todo),
        judges=len(judging),
        hard=hard,
        images=images,
        denoising_steps=steps,
        bytes=images * int(bench.sources_of(np.arange(1)).photos[0].size * 0.8),
        optimiser_steps=trained // spec.train.batch,
        trained_images=trained,
        minutes=_minutes(bench, todo, steps, judging),
    )


def _judging(bench: Bench) -> list[int]:
    """Images that each judge to be trained will see."""
    judges, batch = bench.hard_rule.judges, bench.spec.train.batch
    if judges is None:
        return []
    return [int((judges.fold != number).sum()) // batch * batch * judges.epochs for number in judges.missing()]


def _all(bench: Bench, levels: Sequence[int], hard: int) -> tuple[int, int]:
    """Images and denoising steps of as many hard photos: while they are not known, there is no bank that could hold some."""
    each = hard * bench.spec.bank.variants * bench.spec.bank.best_of
    return each * len(levels), each * sum(denoising_steps(level, bench.generator.steps) for level in levels)


def _missing(bench: Bench, levels: Sequence[int]) -> tuple[int, int]:
    """Images the bank lacks, and their denoising steps."""
    missing = list(bench.bank.missing(bench.wanted(levels))) if levels else []
    return len(missing), sum(denoising_steps(cell.level, bench.generator.steps) for cell in missing)


def _minutes(bench: Bench, todo: Sequence[Experiment], steps: int, judging: Sequence[int]) -> float:
    """Time one batch of each kind of work here, and multiply."""
    from discl.harness.timing import pace, seconds_per_denoising_step, seconds_per_run

    learning = pace(bench)
    seconds = steps * seconds_per_denoising_step(bench) if steps else 0.0
    seconds += len(todo) * seconds_per_run(bench, learning)
    looks = len(bench.train) // bench.spec.hard.folds + len(bench.dataset.split("val"))
    seconds += sum(images // bench.spec.train.batch * learning.step_s + looks * learning.look_s for images in judging)
    return seconds / 60
