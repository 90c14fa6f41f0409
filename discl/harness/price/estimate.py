"""The price of a benchmark on a GPU that need not be here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from discl.config.benchmark import Benchmark
from discl.config.experiment import experiments
from discl.core.compute.collector import without_collector
from discl.core.errors import UserError
from discl.core.levels import PHOTO
from discl.harness.price.bank import BankPrice, bank_price, check_workers
from discl.harness.price.checkpoints import UnknownWorkError
from discl.harness.price.gpus import Gpu
from discl.harness.price.photos import PricedPhotos, photo_counts
from discl.harness.price.training import TrainingPrice, training_price

IMAGE_BYTES = 0.8  # of a byte a value, in a shard
RUN_BYTES = 100_000  # of what describes a run


@dataclass(frozen=True)
class PricedPlan:
    """What a whole benchmark takes on `count` GPUs, from nothing."""

    gpu: Gpu
    count: int
    workers: int  # on each GPU
    photos: PricedPhotos
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


@without_collector()  # most of its time goes into imports
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
            check_workers(gpu, workers, bank)
        except UnknownWorkError as error:
            unknown.append(f"the images: {error}")
    try:
        training = training_price(spec, gpu, photos, bank)
    except UnknownWorkError as error:
        unknown.append(f"the training: {error}")
    plan = PricedPlan(
        gpu, count, workers, photos, bank, training, 0, _dataset_bytes(spec), tuple(unknown)
    )
    return replace(plan, disk_bytes=_disk_bytes(spec, plan))


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
