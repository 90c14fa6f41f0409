"""How long a run takes here: as stored ones like it did, or by a pace that is timed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment
from discl.core.hashing import canonical_json
from discl.core.result import Result
from discl.harness.run.assembly import Bench
from discl.harness.run.provenance import processor
from discl.harness.sweep.paces import Patience
from discl.harness.sweep.throughput import (
    TrainingSpeed,
    decides_step,
    seconds_per_run,
    training_speed,
)

TIMED_KINDS = 3  # kinds of runs that are timed; the others are taken for their mean
STORED_RUNS = 2  # like a run, from which its time is known; one may have waited, or been stopped


def decides_pace(benchmark: Benchmark) -> object:
    """The settings that decide how long a step and a prediction take."""
    return [benchmark.dataset, benchmark.backbone, benchmark.loss, decides_step(benchmark)]


def _like(identity: Mapping[str, Any]) -> str:
    """What runs have in common that take about as long."""
    keys = ("dataset", "backbone", "loss", "train", "sampling", "second_stage", "select")
    return canonical_json([identity.get(key) for key in keys])


class RunTimes:
    """Seconds of a run: from stored ones like it, or else by a pace that is timed here."""

    def __init__(self, stored: Iterable[Result], patience: Patience | None) -> None:
        self.patience = patience
        self.stored: dict[str, list[float]] = {}
        here = processor()
        for result in stored:
            # images are priced by themselves, and another machine says nothing
            if not result.cost["images_generated"] and _was_here(result, here):
                seconds = self.stored.setdefault(_like(result.identity), [])
                seconds.append(float(result.cost["seconds"]))
        self.paces: dict[str, TrainingSpeed] = {}
        self.by_flops = 0.0  # 1 = the last answer of `seconds` is no measurement of training

    def seconds(self, experiment: Experiment, bench: Bench) -> float:
        """Of one run, once parts are loaded; 0 where nothing is to be timed."""
        self.by_flops = 0.0
        if self.patience is None:
            return 0.0
        key = _like(experiment.comparison())
        if len(self.stored.get(key, ())) >= STORED_RUNS:
            return float(np.median(self.stored[key]))
        probe = experiment.benchmark.chosen_strategy(experiment.strategy).build()
        has_probe = getattr(probe, "probe", None) is not None
        pace = self.pace(bench)
        self.by_flops = pace.by_flops
        return seconds_per_run(bench, pace, has_probe)

    def pace(self, bench: Bench) -> TrainingSpeed:
        """Timed for the first kinds; the mean of those for others, scaled to nothing."""
        key = canonical_json(decides_pace(bench.spec))
        if key not in self.paces:
            if self.patience is None or len(self.paces) >= TIMED_KINDS:
                return _mean(self.paces.values())
            self.paces[key] = training_speed(bench, patience=self.patience)
        return self.paces[key]


def _was_here(result: Result, here: str) -> bool:
    return str(result.provenance.get("processor", here)) == here


def _mean(paces: Iterable[TrainingSpeed]) -> TrainingSpeed:
    known = [pace for pace in paces if not math.isnan(pace.step_seconds)]
    if not known:
        return TrainingSpeed(*(math.nan,) * 4)
    return TrainingSpeed(*(float(np.mean(values)) for values in zip(*known, strict=True)))
