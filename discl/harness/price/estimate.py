"""The price of a benchmark on a GPU that need not be here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.schedule import in_epochs
from discl.config.stages.start import benchmark_of, is_trained
from discl.core.errors import UserError
from discl.core.interfaces import HardRule
from discl.core.levels import PHOTO, denoising_steps
from discl.harness.price.checkpoints import CheckpointConfig, Networks, UnknownWorkError, config_of
from discl.harness.price.classifier import ClassifierWork, predicted_photos
from discl.harness.price.generator import GeneratorWork, Sampling, filling
from discl.harness.price.gpus import Gpu
from discl.harness.price.photos import PhotoCounts, photo_counts
from discl.harness.price.work import weights_of

OTHER_EPOCH = 0.3  # of runs whose best epoch by val is not the last
CONTEXT_BYTES = 1_000_000_000  # of a process on a GPU: its context, kernels and workspaces; a guess
IMAGE_BYTES = 0.8  # of a byte a value, in a shard
RUN_BYTES = 100_000  # of what describes a run


@dataclass(frozen=True)
class LevelPrice:
    """The images of one level."""

    level: int
    steps: int
    images: int
    tflop: float  # an image
    seconds: float  # an image, on one GPU
    loop_seconds: float  # an image, made alone by a loop over diffusers' pipeline


@dataclass(frozen=True)
class BankPrice:
    """All images of a benchmark; times are of one GPU."""

    generator: str
    size: tuple[int, int]  # (height, width)
    dtype: str
    vae_dtype: str
    compiled: bool
    chunk: int
    levels: tuple[LevelPrice, ...]
    filling: float  # computed for nothing, as a share of what is used
    memory_bytes: int  # at that chunk
    largest_chunk: int  # that fits beside `workers`; 0 = not even one
    download_bytes: int

    @property
    def images(self) -> int:
        return sum(level.images for level in self.levels)

    @property
    def hours(self) -> float:
        seconds = sum(level.images * level.seconds for level in self.levels)
        return seconds * (1 + self.filling) / 3600

    @property
    def loop_hours(self) -> float:
        return sum(level.images * level.loop_seconds for level in self.levels) / 3600


@dataclass(frozen=True)
class StrategyPrice:
    """The runs of one strategy, and the images it would need if it ran alone."""

    name: str
    runs: int
    hours: float  # of training, all runs, one GPU
    bank_hours: float  # nan = not known


@dataclass(frozen=True)
class TrainingPrice:
    """All runs of a benchmark; times are of one GPU."""

    batch: int
    steps: int  # of all runs, starts and out-of-fold models
    step_seconds: float
    step_tflop: float
    strategies: tuple[StrategyPrice, ...]
    other_hours: float  # of starts and of models that find the hard photos
    memory_bytes: int
    largest_batch: int  # that fits, or part of one; 0 = not even one
    parts: int  # that a batch is computed in: train.accumulate

    @property
    def hours(self) -> float:
        return self.other_hours + sum(each.hours for each in self.strategies)


@dataclass(frozen=True)
class PricedPlan:
    """What a whole benchmark takes on `count` GPUs, from nothing."""

    gpu: Gpu
    count: int
    workers: int  # on each GPU
    photos: PhotoCounts
    bank: BankPrice | None  # None = no image is needed, or its price is not known
    training: TrainingPrice | None  # None = not known
    disk_bytes: int  # of images and runs
    dataset_bytes: int  # to download; 0 = not known, or it need not be fetched
    unknown: tuple[str, ...] = field(default=())  # why something is not known

    @property
    def gpu_hours(self) -> float:
        """Of one GPU; nan = not known."""
        if self.unknown:
            return math.nan
        bank = self.bank.hours if self.bank else 0.0
        return bank + (self.training.hours if self.training else 0.0)

    @property
    def hours(self) -> float:
        """Until all is done: the bank is shared by all GPUs, a run has one; nan = not known."""
        if self.unknown:
            return math.nan
        bank = self.bank.hours / self.count if self.bank else 0.0
        if self.training is None:
            return bank
        runs = sum(each.runs for each in self.training.strategies)
        rounds = math.ceil(runs / self.count) / max(1, runs)
        return bank + self.training.hours * rounds

    @property
    def cost(self) -> str:
        """Of the hours that all GPUs are rented; "" where it is not known."""
        if self.gpu.price is None or math.isnan(self.hours):
            return ""
        return self.gpu.price.of(self.hours * self.count)


def price(
    spec: Benchmark, gpu: Gpu, count: int = 1, workers: int = 1, hard_photos: int | None = None
) -> PricedPlan:
    """The price of all runs of `spec` and their images, none of which is taken to be there.

    Reads configuration files alone. Raises UserError where photos cannot be counted, or more
    `workers` are to share a GPU than its memory holds.
    """
    for option, value in (("--count", count), ("--workers", workers)):
        if not 1 <= value <= 100_000:
            raise UserError(f"{option} {value}: takes 1 to 100,000")
    photos = photo_counts(spec, hard_photos)
    levels = sorted({level for each in experiments(spec) for level in each.used_levels()} - {PHOTO})
    unknown: list[str] = []
    bank = training = None
    if levels and photos.hard:
        try:
            bank = bank_price(spec, gpu, photos, levels, workers)
        except UnknownWorkError as error:
            unknown.append(f"the images: {error}")
    try:
        training = _training_price(spec, gpu, photos, bank, levels)
    except UnknownWorkError as error:
        unknown.append(f"the training: {error}")
    plan = PricedPlan(
        gpu, count, workers, photos, bank, training, 0, _dataset_bytes(spec), tuple(unknown)
    )
    _check_workers(plan)
    return replace(plan, disk_bytes=_disk_bytes(spec, plan))


# ---------------------------------------------------------------- images


def bank_price(
    spec: Benchmark, gpu: Gpu, photos: PhotoCounts, levels: Sequence[int], workers: int = 1
) -> BankPrice:
    """The images of `levels`; raises UnknownWorkError where their work is not known."""
    generator: Any = spec.part("generators").build()
    checkpoint = getattr(generator, "checkpoint", None)
    if checkpoint is None:
        raise UnknownWorkError(
            f"generator {spec.generator['name']!r} is no diffusion checkpoint, whose configuration"
            " tells its work"
        )
    config = config_of(checkpoint)
    sampling = Sampling(
        _size(spec, generator, config),
        generator.steps,
        generator.text_guidance > 1,
        generator.dtype,
        generator.chunk,
        generator.compile is not False,
        generator.level_0 != "noise",
    )
    work = GeneratorWork(Networks(config), sampling)
    variants = spec.bank.variants * spec.bank.best_of
    share = 1 / (len(levels) * variants)
    prices = tuple(
        LevelPrice(
            level,
            denoising_steps(level, sampling.steps),
            photos.hard * variants,
            work.level_flops(level) / 1e12,
            work.level_seconds(level, gpu, share),
            work.loop_seconds(level, gpu),
        )
        for level in levels
    )
    beside = _scorer_bytes(spec) + CONTEXT_BYTES
    return BankPrice(
        config.title,
        sampling.size,
        sampling.dtype,
        work.vae_dtype,
        sampling.compiled,
        sampling.chunk,
        prices,
        filling({p.level: p.steps for p in prices}, variants, spec.bank.batch, sampling.chunk),
        work.peak_bytes(sampling.chunk) + beside,
        work.largest_chunk(gpu.memory_bytes / workers - beside),
        work.download_bytes if config.published else 0,
    )


def _size(spec: Benchmark, generator: Any, config: CheckpointConfig) -> tuple[int, int]:
    """(height, width) of the images: the generator's, the bank's, the checkpoint's, the photo's."""
    if generator.size:
        return (generator.size[1], generator.size[0])
    if spec.bank.size:
        return (spec.bank.size[0], spec.bank.size[1])
    dataset = spec.part("datasets").build()
    side = int(getattr(dataset, "side", 32))
    own = config.networks["unet"].get("sample_size") if "unet" in config.networks else None
    if not getattr(dataset, "has_originals", False) or own is None:
        return (side, side)
    blocks = config.networks.get("vae", {}).get("block_out_channels") or (1, 1, 1, 1)
    factor = 2 ** (len(blocks) - 1)
    height, width = own if isinstance(own, list) else (own, own)
    return (height * factor, width * factor)


def _scorer_bytes(spec: Benchmark) -> int:
    """Weights of the scorer, in float32; 0 where they are not known."""
    skeleton = getattr(spec.part("scorers").build(), "skeleton", None)
    return 4 * weights_of(skeleton()) if skeleton else 0


# ---------------------------------------------------------------- training


def _training_price(
    spec: Benchmark,
    gpu: Gpu,
    photos: PhotoCounts,
    bank: BankPrice | None,
    levels: Sequence[int],
) -> TrainingPrice:
    side = int(getattr(spec.part("datasets").build(), "side", 32))
    work = ClassifierWork(spec, spec.part("backbones").build(), photos.classes, side)
    step, predicted = work.step_seconds(gpu), work.prediction_seconds(gpu)
    runs: dict[str, int] = {}
    used: dict[str, set[int]] = {}
    for experiment in experiments(spec):
        runs[experiment.strategy] = runs.get(experiment.strategy, 0) + 1
        used[experiment.strategy] = set(experiment.used_levels()) - {PHOTO}
    steps = 0
    prices = []
    for name, count in runs.items():
        run_steps = _steps(spec, photos)
        steps += count * run_steps
        seconds = run_steps * step + _predicted(spec, photos, name) * predicted
        prices.append(
            StrategyPrice(name, count, count * seconds / 3600, _bank_hours(bank, used[name]))
        )
    other_steps, other_photos = _others(spec, photos)
    embedded = sum(photos.splits.values()) + (bank.images if bank else 0)
    other = other_steps * step + other_photos * predicted
    other += embedded * work.embedding_seconds(gpu)
    batch = spec.train.batch
    parts = spec.train.accumulate
    room = gpu.memory_bytes - CONTEXT_BYTES
    return TrainingPrice(
        batch,
        steps + other_steps,
        step,
        0.0 if work.frozen else work.step_flops() / 1e12,
        tuple(prices),
        other / 3600,
        work.peak_bytes(batch // parts) + CONTEXT_BYTES,
        work.largest_batch(room),
        parts,
    )


def _bank_hours(bank: BankPrice | None, levels: set[int]) -> float:
    """Of the images that one strategy needs, whichever others share them."""
    if not levels:
        return 0.0
    if bank is None:
        return math.nan
    seconds = sum(p.images * p.seconds for p in bank.levels if p.level in levels)
    return seconds * (1 + bank.filling) / 3600


def _steps(spec: Benchmark, photos: PhotoCounts) -> int:
    images = spec.sampling.images or photos.train
    return spec.train.epochs * (images // spec.train.batch)


def _predicted(spec: Benchmark, photos: PhotoCounts, strategy: str) -> float:
    """Photos that a run predicts; an adaptive strategy measures as many as are hard, at most."""
    train = spec.train
    probed = 0.0
    if getattr(spec.chosen_strategy(strategy).build(), "probe", None) is not None:
        curriculum = round(in_epochs(train.curriculum_epochs, train.epochs))
        probed = 2.0 * photos.hard * len(spec.levels) * curriculum
    alphas = len(spec.select.wise_ft_alphas)
    return predicted_photos(train, photos.val, photos.scored, alphas, probed, OTHER_EPOCH)


def _others(spec: Benchmark, photos: PhotoCounts) -> tuple[int, float]:
    """(optimiser steps, predicted photos) of starts and of models that find the hard photos."""
    steps, predicted = 0, 0.0
    if is_trained(spec.train.start):
        start = benchmark_of(spec)
        steps += len(spec.seeds) * _steps(start, photos)
        predicted += len(spec.seeds) * _predicted(start, photos, spec.train.start.strategy)
    rule: HardRule = spec.part("hard_rules").build()
    if rule.models is not None:
        folds, batch = rule.models.folds, spec.train.batch
        fitted = photos.train - photos.train // folds
        epochs = rule.models.epochs or spec.train.epochs
        steps += folds * epochs * (fitted // batch)
        predicted += photos.train + folds * photos.val
    return steps, predicted


# ---------------------------------------------------------------- memory and disk


def _check_workers(plan: PricedPlan) -> None:
    """Raises UserError where a GPU's memory does not hold as many workers as are asked for."""
    if plan.workers == 1 or plan.bank is None:
        return
    each = plan.bank.memory_bytes
    most = plan.gpu.memory_bytes // each
    if plan.workers > most:
        raise UserError(
            f"--workers {plan.workers}: a worker that makes images takes"
            f" {each / 1e9:.1f} GB, and {plan.gpu.name} has {plan.gpu.memory:g}; {most} fit, or"
            " more with a smaller generator.chunk"
        )


def _disk_bytes(spec: Benchmark, plan: PricedPlan) -> int:
    """Of images, their pixels as runs read them, and what runs keep."""
    images = 0
    if plan.bank:
        height, width = plan.bank.size
        side = int(getattr(spec.part("datasets").build(), "side", 32))
        images = plan.bank.images * int(3 * (IMAGE_BYTES * height * width + side * side))
    runs = len(experiments(spec))
    return images + runs * (4 * plan.photos.scored * plan.photos.classes + RUN_BYTES)


def _dataset_bytes(spec: Benchmark) -> int:
    """Of the first source that says how much it is; 0 where none does, or the photos are here."""
    dataset: Any = spec.part("datasets").build()
    if getattr(dataset, "ready", False):
        return 0
    sources: Sequence[Any] = getattr(dataset, "sources", ())
    return next((int(source.bytes) for source in sources if source.bytes), 0)
