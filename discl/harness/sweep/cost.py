"""Estimates the cost of runs on this machine, before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.config.stages.start import is_trained
from discl.core.hashing import canonical_json
from discl.core.interfaces import Progress
from discl.core.levels import PHOTO, denoising_steps
from discl.core.result import Result
from discl.harness.run.assembly import Bench
from discl.harness.run.start.stage import StartStage
from discl.harness.run.store import Store
from discl.harness.sweep.throughput import Patience

TIMED_KINDS = 3  # kinds of runs that are timed; the others are taken for their mean


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


@dataclass
class _Totals:
    """Sums over groups of experiments."""

    hard: list[int | None] = field(default_factory=list)  # of each group that shares its images
    fold_models: int = 0
    images: int = 0
    denoising_steps: int = 0
    bytes: int = 0
    optimiser_steps: int = 0
    trained_images: int = 0
    starts: int = 0
    start_ids: set[str] = field(default_factory=set)
    seconds: float = 0.0


def estimate_cost(
    experiments: Iterable[Experiment], store: Store, progress: Progress, timed: bool = True
) -> CostEstimate:
    """The cost of these runs now.

    Prepares the data, since how much must be made depends on it; trains and makes nothing.
    `timed` = False leaves the minutes out: to time a sample of the work takes some seconds, 20 at
    most.
    """
    by_id = {experiment.id(): experiment for experiment in experiments}
    stored = {id: result for id in by_id if (result := store.find(id))}
    todo = [experiment for id, experiment in by_id.items() if id not in stored]
    totals = _Totals()
    patience = Patience() if timed else None
    for group in _groups(todo, _decides_images):
        _add_images(totals, group, progress, patience)
    epoch_times = _EpochTimes(stored.values(), patience)
    for group in _groups(todo, _decides_epoch_time):
        _add_training(totals, group, epoch_times)
    for group in _groups(todo, _decides_start):
        _add_starts(totals, group, epoch_times)
    known = [hard for hard in totals.hard if hard is not None]
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
        minutes=totals.seconds / 60 if timed else math.nan,
    )


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


# ---------------------------------------------------------------- images


def _decides_images(benchmark: Benchmark) -> object:
    """The settings that decide which images there are to make.

    Where models find the hard photos, also those that decide the models.
    """
    fold_models: list[object] = []
    if benchmark.part("hard_rules").build().models:
        fold_models = [benchmark.backbone, benchmark.loss, benchmark.train.model_dump()]
    return [
        benchmark.dataset,
        benchmark.generator,
        benchmark.scorer,
        benchmark.prompts,
        benchmark.hard_rule,
        benchmark.bank.model_dump(exclude={"threshold", "batch"}),
        fold_models,
    ]


def _add_images(
    totals: _Totals, group: Sequence[Experiment], progress: Progress, patience: Patience | None
) -> None:
    """Add the images of experiments that share them, and the models that find the hard photos."""
    from discl.harness.sweep.throughput import seconds_per_denoising_step

    bench = Bench(group[0].benchmark)
    bench.dataset.prepare(progress)
    levels = _levels(group)
    fold_model_images = _fold_model_images(bench)
    if fold_model_images:
        hard = bench.hard_photos.expected()
        images, steps = _images_of(bench, levels, hard or 0)
        _add_fold_models(totals, bench, fold_model_images, patience)
    else:
        hard = len(bench.hard)
        images, steps = _missing_images(bench, levels)
    totals.hard.append(hard)
    totals.images += images
    totals.denoising_steps += steps
    if images:
        photo = bench.sources_of(np.arange(1)).photos[0]
        totals.bytes += images * int(photo.size * 0.8)
    if steps and patience:
        totals.seconds += steps * seconds_per_denoising_step(bench, patience=patience)


def _levels(group: Sequence[Experiment]) -> list[int]:
    """The levels that images are made of; a seed makes no other image."""
    one_a_strategy = {(id(e.benchmark), e.strategy): e for e in group}.values()
    levels = {level for experiment in one_a_strategy for level in experiment.used_levels()}
    return sorted(levels - {PHOTO})


def _fold_model_images(bench: Bench) -> list[int]:
    """Images that each out-of-fold model to be trained will see."""
    out_of_fold = bench.hard_photos.out_of_fold
    if out_of_fold is None:
        return []
    batch = bench.spec.train.batch
    counts = []
    for number in out_of_fold.missing():
        batches = int((out_of_fold.fold != number).sum()) // batch
        counts.append(batches * batch * out_of_fold.models.epochs)
    return counts


def _add_fold_models(
    totals: _Totals, bench: Bench, images: Sequence[int], patience: Patience | None
) -> None:
    from discl.harness.sweep.throughput import training_speed

    batch = bench.spec.train.batch
    totals.fold_models += len(images)
    totals.trained_images += sum(images)
    totals.optimiser_steps += sum(images) // batch
    out_of_fold = bench.hard_photos.out_of_fold
    if patience and out_of_fold:
        speed = training_speed(bench, patience=patience)
        held_out = len(bench.train) // out_of_fold.models.folds
        predicted = held_out + len(bench.dataset.split("val"))
        totals.seconds += sum(
            count // batch * speed.step_seconds + predicted * speed.prediction_seconds
            for count in images
        )


def _images_of(bench: Bench, levels: Sequence[int], hard: int) -> tuple[int, int]:
    """Images and denoising steps of `hard` photos.

    While the photos are not known, there is no bank that could hold some of the images.
    """
    a_level = hard * bench.spec.bank.variants * bench.spec.bank.best_of
    steps = sum(denoising_steps(level, bench.generator.steps) for level in levels)
    return a_level * len(levels), a_level * steps


def _missing_images(bench: Bench, levels: Sequence[int]) -> tuple[int, int]:
    """Images the bank lacks, and their denoising steps."""
    if not levels:
        return 0, 0
    if not bench.has_bank:  # none is made for a plan
        return _images_of(bench, levels, len(bench.hard))
    missing = bench.bank.count_missing(bench.wanted(levels))
    steps = bench.generator.steps
    return sum(missing.values()), sum(
        count * denoising_steps(level, steps) for level, count in missing.items()
    )


# ---------------------------------------------------------------- training


def _decides_epoch_time(benchmark: Benchmark) -> object:
    """The settings that decide how long an epoch takes."""
    train = benchmark.train
    seen = [train.batch, train.crop, train.side]
    return [benchmark.dataset, benchmark.backbone, benchmark.loss, benchmark.sampling.images, seen]


def _like(identity: Mapping[str, Any]) -> str:
    """What runs have in common whose epochs take about as long."""
    train = identity["train"]
    size = [train["batch"], train.get("crop", 0), train.get("side", 0)]
    return canonical_json([identity["backbone"], train["epochs"], size])


class _EpochTimes:
    """Seconds of a run and epoch.

    From stored runs like it, or else timed here, or else the mean of those that were timed.
    """

    def __init__(self, stored: Iterable[Result], patience: Patience | None) -> None:
        self.patience = patience
        self.stored: dict[str, list[float]] = {}
        for result in stored:
            epochs = result.identity["train"]["epochs"]
            seconds = result.cost["seconds"] / epochs
            self.stored.setdefault(_like(result.identity), []).append(seconds)
        self.samples: list[float] = []

    def seconds(self, experiment: Experiment, bench: Bench) -> float:
        from discl.harness.sweep.throughput import seconds_per_run, training_speed

        key = _like(experiment.comparison())
        if key in self.stored:
            return float(np.median(self.stored[key]))
        if self.patience and len(self.samples) < TIMED_KINDS:
            seconds = seconds_per_run(bench, training_speed(bench, patience=self.patience))
            self.samples.append(seconds / bench.spec.train.epochs)
        known = [sample for sample in self.samples if not math.isnan(sample)]
        return float(np.mean(known)) if known else math.nan if self.samples else 0.0


def _add_training(totals: _Totals, group: Sequence[Experiment], epoch_times: _EpochTimes) -> None:
    bench = Bench(group[0].benchmark)
    seconds = epoch_times.seconds(group[0], bench)
    images = group[0].benchmark.sampling.images or len(bench.train)
    for experiment in group:
        train = experiment.benchmark.train
        steps = train.epochs * (images // train.batch)
        totals.optimiser_steps += steps
        totals.trained_images += steps * train.batch
        totals.seconds += seconds * train.epochs


# ---------------------------------------------------------------- starts


def _decides_start(benchmark: Benchmark) -> object:
    """The settings that decide the weights that runs begin from; all alike where they draw them."""
    if not is_trained(benchmark.train.start):
        return None
    return benchmark.model_dump(exclude={"strategies", "seeds", "trackers", "title", "store"})


def _add_starts(totals: _Totals, group: Sequence[Experiment], epoch_times: _EpochTimes) -> None:
    """Add the starts that are still to be made: one a seed."""
    if not is_trained(group[0].benchmark.train.start):
        return
    bench = Bench(group[0].benchmark)
    stages = [StartStage(bench, seed) for seed in sorted({each.seed for each in group})]
    todo = [stage for stage in stages if not stage.is_stored and stage.id not in totals.start_ids]
    if not todo:
        return
    totals.start_ids.update(stage.id for stage in todo)  # other runs may have the same start
    train = todo[0].experiment.benchmark.train
    images = todo[0].experiment.benchmark.sampling.images or len(bench.train)
    steps = train.epochs * (images // train.batch) * len(todo)
    totals.starts += len(todo)
    totals.optimiser_steps += steps
    totals.trained_images += steps * train.batch
    seconds = epoch_times.seconds(group[0], bench) if epoch_times.patience else 0.0
    totals.seconds += seconds * train.epochs * len(todo)
