"""The price of a benchmark's runs on a GPU."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.config.schedule import in_epochs
from discl.config.stages.start import benchmark_of, is_trained
from discl.core.hashing import canonical_json
from discl.core.interfaces import HardRule
from discl.core.levels import PHOTO
from discl.harness.price.bank import CONTEXT_BYTES, BankPrice
from discl.harness.price.classifier import ClassifierWork, predicted_photos
from discl.harness.price.gpus import Gpu
from discl.harness.price.photos import PricedPhotos

OTHER_EPOCH = 0.3  # of runs whose best epoch by val is not the last


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


def training_price(
    spec: Benchmark,
    gpu: Gpu,
    photos: PricedPhotos,
    bank: BankPrice | None,
) -> TrainingPrice:
    side = int(getattr(spec.part("datasets").build(), "side", 32))
    work = _classifier_work(_Described(spec), photos.classes, side)
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


class _Described:
    """A benchmark, equal to others with the same network and recipe."""

    def __init__(self, spec: Benchmark) -> None:
        self.spec = spec
        self._key = canonical_json([spec.backbone, spec.train.model_dump()])

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Described) and other._key == self._key


@lru_cache(maxsize=8)
def _classifier_work(described: _Described, classes: int, side: int) -> ClassifierWork:
    spec = described.spec
    return ClassifierWork(spec, spec.part("backbones").build(), classes, side)


def _bank_hours(bank: BankPrice | None, levels: set[int]) -> float:
    """Of the images that one strategy needs, whichever others share them."""
    if not levels:
        return 0.0
    if bank is None:
        return math.nan
    seconds = sum(p.images * p.seconds for p in bank.levels if p.level in levels)
    return seconds * (1 + bank.filling) / 3600


def _steps(spec: Benchmark, photos: PricedPhotos) -> int:
    images = spec.sampling.images or photos.train
    return spec.train.epochs * (images // spec.train.batch)


def _predicted(spec: Benchmark, photos: PricedPhotos, strategy: str) -> float:
    """Photos that a run predicts; an adaptive strategy measures as many as are hard, at most."""
    train = spec.train
    probed = 0.0
    if getattr(spec.chosen_strategy(strategy).build(), "probe", None) is not None:
        curriculum = round(in_epochs(train.curriculum_epochs, train.epochs))
        probed = 2.0 * photos.hard * len(spec.levels) * curriculum
    alphas = len(spec.select.wise_ft_alphas)
    return predicted_photos(train, photos.val, photos.scored, alphas, probed, OTHER_EPOCH)


def _others(spec: Benchmark, photos: PricedPhotos) -> tuple[int, float]:
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
