"""Sums of the work and of its seconds over groups of runs, and over strategies."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

# work that is timed, in words
IMAGES = "making images"
EMBEDDING = "embedding photos with the frozen trunk"
TRAINING = "training"


@dataclass
class StrategyCost:
    """What the runs of one strategy take, images and starts aside: those are shared."""

    runs: int = 0  # to be made
    optimiser_steps: int = 0
    seconds: float = 0.0  # nan = not known
    levels: set[int] = field(default_factory=set)  # that it trains on


@dataclass
class Totals:
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
    by_flops: list[str] = field(default_factory=list)  # work whose pace is that of a matrix product
    hard_classes: set[int | None] = field(default_factory=set)
    classes: set[int] = field(default_factory=set)
    run_bytes: int = 0
    strategies: dict[str, StrategyCost] = field(default_factory=dict)

    def add(self, seconds: float, work: str, by_flops: float = 0.0) -> None:
        """Add what some work takes; nan = not known, which is told by its name.

        So is work of which nothing was timed but a matrix product: `by_flops` is 1.
        """
        if by_flops and seconds and work not in self.by_flops:
            self.by_flops.append(work)
        if not math.isnan(seconds):
            self.seconds += seconds
        elif work not in self.unmeasured:
            self.unmeasured.append(work)

    def load(self, what: str, seconds: float) -> None:
        """Add parts that a process loads once, whatever the number of groups that need them."""
        if not math.isnan(seconds):
            self.loading[what] = max(self.loading.get(what, 0.0), seconds)
