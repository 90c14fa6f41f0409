"""Estimates the cost of runs on this machine, before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.hashing import canonical_json
from discl.core.interfaces import Progress
from discl.harness.run.store import Store
from discl.harness.sweep.cost_of_images import add_images, decides_images
from discl.harness.sweep.cost_of_training import (
    add_starts,
    add_training,
    decides_run_time,
    decides_start,
)
from discl.harness.sweep.cost_totals import StrategyCost, Totals
from discl.harness.sweep.paces import MOST_SECONDS, Patience, forget_paces
from discl.harness.sweep.run_times import RunTimes
from discl.harness.sweep.throughput import peak_memory

OFF_BY = 1.5  # times too much or too little: an estimate that far off is told
SHORTEST = 0.25  # minutes; what is over sooner is no matter for a sentence
STARTING_SECONDS = 2.5  # of a process: Python, torch and what it reads before any work


@dataclass(frozen=True)
class CostEstimate:
    """The work that runs will do."""

    experiments: int
    cached: int
    fold_models: int  # out-of-fold models to train first, to find the hard photos
    hard: int | None  # photos that images are made from; None = only those models can tell
    images: int  # to be made, as far as it is known
    denoising_steps: int
    bytes: int  # of images, an estimate
    optimiser_steps: int  # of the out-of-fold models and the starts too
    trained_images: int
    starts: int  # runs that make the weights others begin from: one a seed, whatever the strategies
    # on this machine with one worker: from a sample of each kind of work, or from runs that are
    # stored; nan = not known
    minutes: float
    hard_classes: int | None = None  # that they are of; None = not known, or of several data sets
    classes: int | None = None  # there are; None = of several data sets
    run_bytes: int = 0  # on disk, of the runs' predictions, an estimate
    memory_bytes: int = 0  # that this process needed for the samples; 0 = none was taken
    strategies: dict[str, StrategyCost] = field(default_factory=dict)
    unmeasured: tuple[str, ...] = ()  # work whose pace is not known, in words
    by_flops: tuple[str, ...] = ()  # work that was priced by its FLOPs and a matrix product
    known_minutes: float = 0.0  # of all other work


def estimate_cost(
    experiments: Iterable[Experiment],
    store: Store,
    progress: Progress,
    timed: bool = True,
    seconds: float = MOST_SECONDS,
) -> CostEstimate:
    """The cost of these runs now.

    Prepares the data, since how much must be made depends on it; trains and makes nothing.
    `timed` = False leaves the minutes out: to time a sample of the work takes some seconds, 15 at
    most, or `seconds`; with 0 only what was timed before is known.
    """
    by_id = {experiment.id(): experiment for experiment in experiments}
    stored = {id: result for id in by_id if (result := store.find(id))}
    todo = [experiment for id, experiment in by_id.items() if id not in stored]
    totals = Totals()
    run_times = RunTimes(stored.values(), Patience(seconds) if timed else None)
    for group in _groups(todo, decides_images):
        add_images(totals, group, progress, run_times)
    for group in _groups(todo, decides_run_time):
        add_training(totals, group, run_times)
    for group in _groups(todo, decides_start):
        add_starts(totals, group, run_times)
    if timed and todo:
        totals.seconds += STARTING_SECONDS
    known = [hard for hard in totals.hard if hard is not None]
    minutes = (totals.seconds + sum(totals.loading.values())) / 60
    return CostEstimate(
        experiments=len(by_id),
        cached=len(stored),
        fold_models=totals.fold_models,
        hard=sum(known) if len(known) == len(totals.hard) else None,
        images=totals.images,
        denoising_steps=totals.denoising_steps,
        bytes=totals.bytes,
        optimiser_steps=totals.optimiser_steps,
        trained_images=totals.trained_images,
        starts=totals.starts,
        minutes=minutes if timed and not totals.unmeasured else math.nan,
        hard_classes=_one_of(totals.hard_classes),
        classes=_one_of(totals.classes),
        run_bytes=totals.run_bytes,
        memory_bytes=peak_memory() if timed and todo else 0,
        strategies=totals.strategies,
        unmeasured=tuple(totals.unmeasured),
        by_flops=tuple(totals.by_flops),
        known_minutes=minutes,
    )


def misjudged(expected: float, taken: float) -> str:
    """A sentence where what took `taken` minutes was expected to take much more or less.

    "" where it was not, or nothing was expected (nan), or all was over in moments. What was timed
    before is then forgotten.
    """
    if math.isnan(expected) or max(expected, taken) < SHORTEST or expected <= 0:
        return ""
    if 1 / OFF_BY <= taken / expected <= OFF_BY:
        return ""
    forget_paces()
    return (
        f"This took {taken:.1f} minutes, and {expected:.1f} were expected from what was timed here"
        " before; other work on the machine makes the difference, or a pace that is no longer"
        " true, so `discl plan` will time it again."
    )


def _one_of(values: set[Any]) -> Any:
    """The value where there is one."""
    return next(iter(values)) if len(values) == 1 else None


def _groups(
    experiments: Sequence[Experiment], decides: Callable[[Benchmark], object]
) -> Iterable[list[Experiment]]:
    """Experiments whose benchmarks agree in what `decides` reads of them."""
    keys: dict[int, str] = {}  # many experiments share one benchmark: each is serialised once
    grouped: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        benchmark = experiment.benchmark
        if id(benchmark) not in keys:
            keys[id(benchmark)] = canonical_json(decides(benchmark))
        grouped.setdefault(keys[id(benchmark)], []).append(experiment)
    return grouped.values()
