"""Estimates the cost of runs on this machine, before they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.config.stages.start import is_trained
from discl.core.hashing import canonical_json
from discl.core.interfaces import Progress
from discl.core.levels import PHOTO, denoising_steps
from discl.harness.run.assembly import Bench
from discl.harness.run.inputs import FeatureInputs
from discl.harness.run.start.stage import StartStage
from discl.harness.run.store import Store
from discl.harness.sweep.run_times import RunTimes, decides_pace
from discl.harness.sweep.throughput import (
    MOST_SECONDS,
    Patience,
    forget_paces,
    image_speed,
    peak_memory,
    seconds_per_run,
)

OFF_BY = 1.5  # times too much or too little: an estimate that far off is told
SHORTEST = 0.25  # minutes; what is over sooner is no matter for a sentence
# work that is timed, in words
_IMAGES = "making images"
_EMBEDDING = "embedding photos with the frozen trunk"
_TRAINING = "training"
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
    known_minutes: float = 0.0  # of all other work


@dataclass
class StrategyCost:
    """What the runs of one strategy take, images and starts aside: those are shared."""

    runs: int = 0  # to be made
    optimiser_steps: int = 0
    seconds: float = 0.0  # nan = not known
    levels: set[int] = field(default_factory=set)  # that it trains on


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
    seconds: float = 0.0  # of all work whose pace is known
    # in which parts are loaded, once a process: those of images, and those of training
    loading: dict[str, float] = field(default_factory=dict)
    unmeasured: list[str] = field(default_factory=list)  # the other work
    hard_classes: set[int | None] = field(default_factory=set)
    classes: set[int] = field(default_factory=set)
    run_bytes: int = 0
    strategies: dict[str, StrategyCost] = field(default_factory=dict)

    def add(self, seconds: float, work: str) -> None:
        """Add what some work takes; nan = not known, which is told by its name."""
        if not math.isnan(seconds):
            self.seconds += seconds
        elif work not in self.unmeasured:
            self.unmeasured.append(work)

    def load(self, what: str, seconds: float) -> None:
        """Add parts that a process loads once, whatever the number of groups that need them."""
        if not math.isnan(seconds):
            self.loading[what] = max(self.loading.get(what, 0.0), seconds)


def estimate_cost(
    experiments: Iterable[Experiment],
    store: Store,
    progress: Progress,
    timed: bool = True,
    seconds: float = MOST_SECONDS,
) -> CostEstimate:
    """The cost of these runs now.

    Prepares the data, since how much must be made depends on it; trains and makes nothing.
    `timed` = False leaves the minutes out: to time a sample of the work takes some seconds, 20 at
    most, or `seconds`; with 0 only what was timed before is known.
    """
    by_id = {experiment.id(): experiment for experiment in experiments}
    stored = {id: result for id in by_id if (result := store.find(id))}
    todo = [experiment for id, experiment in by_id.items() if id not in stored]
    totals = _Totals()
    run_times = RunTimes(stored.values(), Patience(seconds) if timed else None)
    for group in _groups(todo, _decides_images):
        _add_images(totals, group, progress, run_times)
    for group in _groups(todo, _decides_run_time):
        _add_training(totals, group, run_times)
    for group in _groups(todo, _decides_start):
        _add_starts(totals, group, run_times)
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
    totals: _Totals, group: Sequence[Experiment], progress: Progress, run_times: RunTimes
) -> None:
    """Add the images of experiments that share them, and the models that find the hard photos."""
    bench = Bench(group[0].benchmark)
    bench.dataset.prepare(progress)
    patience = run_times.patience
    if patience:
        run_times.pace(bench)  # takes a second or two; a sample of images may take all the others
    levels = _levels(group)
    fold_model_images = _fold_model_images(bench)
    if fold_model_images:
        hard = bench.hard_photos.expected()
        images, steps = _images_of(bench, levels, hard or 0)
        _add_fold_models(totals, bench, fold_model_images, run_times)
    else:
        hard = len(bench.hard)
        images, steps = _missing_images(bench, levels)
    totals.hard.append(hard)
    totals.images += images
    totals.denoising_steps += steps
    if images:
        photo = bench.sources_of(np.arange(1)).photos[0]
        # the image, and its pixels as a run reads them
        totals.bytes += images * (int(photo.size * 0.8) + math.prod(bench.train.pixels.shape[1:]))
    if steps and patience:
        speed = image_speed(bench, patience=patience)
        totals.add(steps * speed.step_seconds + images * speed.image_seconds, _IMAGES)
        totals.load(_IMAGES, speed.loading_seconds)
    if patience:
        totals.add(_embedding_seconds(bench, levels, images, run_times), _EMBEDDING)
    totals.classes.add(len(bench.dataset.classes))
    known = None if fold_model_images else len(set(bench.train.labels[bench.hard].tolist()))
    totals.hard_classes.add(known)


def _embedding_seconds(
    bench: Bench, levels: Sequence[int], images: int, run_times: RunTimes
) -> float:
    """Seconds in which a frozen trunk embeds photos and images that it has not seen yet."""
    if not isinstance(bench.inputs, FeatureInputs):
        return 0.0
    made = [level for level in levels if not images and level in bench.bank.count()]
    rows = bench.inputs.missing_rows(made) + images
    return rows * run_times.pace(bench).embedding_seconds if rows else 0.0


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
    totals: _Totals, bench: Bench, images: Sequence[int], run_times: RunTimes
) -> None:
    batch = bench.spec.train.batch
    totals.fold_models += len(images)
    totals.trained_images += sum(images)
    totals.optimiser_steps += sum(images) // batch
    out_of_fold = bench.hard_photos.out_of_fold
    if run_times.patience and out_of_fold:
        speed = run_times.pace(bench)
        held_out = len(bench.train) // out_of_fold.models.folds
        predicted = held_out + len(bench.dataset.split("val"))
        totals.add(
            sum(
                count // batch * speed.step_seconds + predicted * speed.prediction_seconds
                for count in images
            ),
            _TRAINING,
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


def _decides_run_time(benchmark: Benchmark) -> object:
    """The settings that decide how long a run takes, its strategy and its images aside."""
    train, select = benchmark.train, benchmark.select
    lengths = [train.epochs, train.curriculum_epochs, train.evaluate_every, benchmark.levels]
    sizes = [benchmark.sampling.images, benchmark.hard_rule, select.wise_ft_alphas]
    return [decides_pace(benchmark), lengths, sizes]


def _add_training(totals: _Totals, group: Sequence[Experiment], run_times: RunTimes) -> None:
    bench = Bench(group[0].benchmark)
    images = group[0].benchmark.sampling.images or len(bench.train)
    seconds = dict[str, float]()  # by strategy
    predicted = sum(len(bench.dataset.split(n)) for n in bench.dataset.splits if n != "train")
    for experiment in group:
        train = experiment.benchmark.train
        steps = train.epochs * (images // train.batch)
        totals.optimiser_steps += steps
        totals.trained_images += steps * train.batch
        name = experiment.strategy
        if name not in seconds:
            seconds[name] = run_times.seconds(experiment, bench)
        totals.add(seconds[name], _TRAINING)
        # both epochs' logits of every photo, in half precision, and what describes a run
        totals.run_bytes += 4 * predicted * len(bench.dataset.classes) + 100_000
        of_strategy = totals.strategies.setdefault(name, StrategyCost())
        of_strategy.runs += 1
        of_strategy.optimiser_steps += steps
        of_strategy.seconds += seconds[name]
        of_strategy.levels.update(experiment.used_levels())
    if run_times.patience:
        totals.load(_TRAINING, run_times.pace(bench).loading_seconds)


# ---------------------------------------------------------------- starts


def _decides_start(benchmark: Benchmark) -> object:
    """The settings that decide the weights that runs begin from; all alike where they draw them."""
    if not is_trained(benchmark.train.start):
        return None
    return benchmark.model_dump(exclude={"strategies", "seeds", "trackers", "title", "store"})


def _add_starts(totals: _Totals, group: Sequence[Experiment], run_times: RunTimes) -> None:
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
    if run_times.patience:
        pace = run_times.pace(bench)
        totals.add(len(todo) * seconds_per_run(todo[0].bench, pace), _TRAINING)
