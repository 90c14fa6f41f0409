"""What runs will cost on this machine, before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.hashing import canonical_json
from discl.core.interfaces import Progress
from discl.core.levels import PHOTO, denoising_steps
from discl.core.result import Result
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store

PACED = 3  # kinds of runs that are timed; the others are taken for their mean


@dataclass(frozen=True)
class Price:
    """What runs will do, before they do it."""

    experiments: int
    cached: int
    fold_models: int  # out-of-fold models to train first, to find the hard photos
    hard: int | None  # photos that images are made from; None = only those models can tell
    images: int  # to be made, as far as it is known
    denoising_steps: int
    bytes: int  # of images, an estimate
    optimiser_steps: int  # of the out-of-fold models too
    trained_images: int
    # on this machine with one worker: from a sample of each kind of work, or from runs that are
    # stored
    minutes: float


class _Bill:
    """Sums up; what many experiments share is looked at once."""

    def __init__(self) -> None:
        self.hard: list[int | None] = []
        self.fold_models = self.images = self.steps = self.bytes = self.trained = self.optimised = 0
        self.seconds = 0.0


def price(
    experiments: Iterable[Experiment], store: Store, progress: Progress, timed: bool = True
) -> Price:
    """The cost of these runs now.

    Prepares the data, since how much must be made depends on it; trains and makes nothing.

    `timed` = False leaves the minutes out: to time a sample of the work takes some seconds.
    """
    wanted = {experiment.id(): experiment for experiment in experiments}
    stored = {id: found for id in wanted if (found := store.find(id))}
    todo = [experiment for id, experiment in wanted.items() if id not in stored]
    bill = _Bill()
    for group in _groups(todo, _pictures):
        _add_pictures(bill, group, progress, timed)
    paces = _Paces(stored.values(), timed)
    for group in _groups(todo, _learning):
        _add_learning(bill, group, paces)
    known = [hard for hard in bill.hard if hard is not None]
    return Price(
        experiments=len(wanted),
        cached=len(stored),
        fold_models=bill.fold_models,
        hard=sum(known) if len(known) == len(bill.hard) else None,
        images=bill.images,
        denoising_steps=bill.steps,
        bytes=bill.bytes,
        optimiser_steps=bill.optimised,
        trained_images=bill.trained,
        minutes=bill.seconds / 60 if timed else math.nan,
    )


def _groups(
    experiments: Sequence[Experiment], alike: Callable[[Benchmark], object]
) -> Iterable[list[Experiment]]:
    """Experiments whose benchmarks are alike."""
    keys: dict[int, str] = {}  # many experiments share one benchmark: each is spelt once
    grouped: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        spec = experiment.benchmark
        if id(spec) not in keys:
            keys[id(spec)] = canonical_json(alike(spec))
        grouped.setdefault(keys[id(spec)], []).append(experiment)
    return grouped.values()


def _pictures(spec: Benchmark) -> object:
    """What says which images there are to make; where models find the hard photos, also what those
    are.
    """
    hard_rule = spec.part("hard_rules")
    fold_models = (
        [spec.backbone, spec.loss, spec.train.model_dump()] if hard_rule.build().models else []
    )
    bank = spec.bank.model_dump(exclude={"threshold", "batch"})
    return [
        spec.dataset,
        spec.generator,
        spec.scorer,
        spec.prompts,
        spec.hard_rule,
        bank,
        fold_models,
    ]


def _learning(spec: Benchmark) -> object:
    """What says how long an epoch takes."""
    return [spec.dataset, spec.backbone, spec.loss, spec.sampling.images]


def _add_pictures(
    bill: _Bill, group: Sequence[Experiment], progress: Progress, timed: bool
) -> None:
    from discl.harness.sweep.throughput import pace, seconds_per_denoising_step

    bench = Bench(group[0].benchmark)
    bench.dataset.prepare(progress)
    levels = sorted(
        {level for each in _one_a_choice(group) for level in each.used_levels() if level != PHOTO}
    )
    training = _fold_model_images(bench)
    hard = bench.hard_photos.expected() if training else len(bench.hard)
    images, steps = _all(bench, levels, hard or 0) if training else _missing(bench, levels)
    bill.hard.append(hard)
    bill.fold_models += len(training)
    bill.images += images
    bill.steps += steps
    bill.bytes += images * int(bench.sources_of(np.arange(1)).photos[0].size * 0.8) if images else 0
    bill.seconds += steps * seconds_per_denoising_step(bench) if steps and timed else 0.0
    batch = bench.spec.train.batch
    bill.trained += sum(training)
    bill.optimised += sum(training) // batch
    if training and timed and bench.hard_photos.out_of_fold:
        learning = pace(bench)
        looks = len(bench.train) // bench.hard_photos.out_of_fold.models.folds + len(
            bench.dataset.split("val")
        )
        bill.seconds += sum(
            images // batch * learning.step_s + looks * learning.look_s for images in training
        )


def _one_a_choice(group: Sequence[Experiment]) -> Iterable[Experiment]:
    """An experiment for each strategy of each benchmark: its seed makes no other image."""
    return {(id(each.benchmark), each.strategy): each for each in group}.values()


def _fold_model_images(bench: Bench) -> list[int]:
    """Images that each out-of-fold model to be trained will see."""
    models = bench.hard_photos.out_of_fold
    batch = bench.spec.train.batch
    if models is None:
        return []
    return [
        int((models.fold != number).sum()) // batch * batch * models.models.epochs
        for number in models.missing()
    ]


def _all(bench: Bench, levels: Sequence[int], hard: int) -> tuple[int, int]:
    """Images and denoising steps of as many hard photos: while they are not known, there is no bank
    that could hold some.
    """
    each = hard * bench.spec.bank.variants * bench.spec.bank.best_of
    return each * len(levels), each * sum(
        denoising_steps(level, bench.generator.steps) for level in levels
    )


def _missing(bench: Bench, levels: Sequence[int]) -> tuple[int, int]:
    """Images the bank lacks, and their denoising steps."""
    missing = list(bench.bank.missing(bench.wanted(levels))) if levels else []
    return len(missing), sum(denoising_steps(cell.level, bench.generator.steps) for cell in missing)


# ---------------------------------------------------------------- learning


class _Paces:
    """Seconds of a run and epoch: of stored ones like it, or else timed here, or else like those
    that were.
    """

    def __init__(self, stored: Iterable[Result], timed: bool) -> None:
        self.timed = timed
        self.known: dict[str, list[float]] = {}
        for result in stored:
            epochs = result.identity["train"]["epochs"]
            self.known.setdefault(canonical_json([result.identity["backbone"], epochs]), []).append(
                result.cost["seconds"] / epochs
            )
        self.samples: list[float] = []

    def seconds_an_epoch(self, experiment: Experiment, bench: Bench) -> float:
        from discl.harness.sweep.throughput import pace, seconds_per_run

        comparison = experiment.comparison()
        like = self.known.get(
            canonical_json([comparison["backbone"], comparison["train"]["epochs"]])
        )
        if like:
            return float(np.median(like))
        if self.timed and len(self.samples) < PACED:
            self.samples.append(seconds_per_run(bench, pace(bench)) / bench.spec.train.epochs)
        return float(np.mean(self.samples)) if self.samples else 0.0


def _add_learning(bill: _Bill, group: Sequence[Experiment], paces: _Paces) -> None:
    bench = Bench(group[0].benchmark)
    seconds = paces.seconds_an_epoch(group[0], bench)
    photos = group[0].benchmark.sampling.images or len(bench.train)
    for experiment in group:
        train = experiment.benchmark.train
        steps = train.epochs * (photos // train.batch)
        bill.optimised += steps
        bill.trained += steps * train.batch
        bill.seconds += seconds * train.epochs
