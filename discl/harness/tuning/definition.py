"""The definition of a study: the space, budget, replicates and first trials of one strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from discl.config import sweep_expand
from discl.config.sweep import Point, SweepFile
from discl.core.hashing import canonical
from discl.harness.tuning.proposals import round_of
from discl.harness.tuning.space import settings, stored


class Replicate(NamedTuple):
    """A run that every trial is judged on."""

    benchmark: str
    seed: int


class StudyDefinition:
    """The study of one strategy on one rung of a sweep file.

    `first` are settings to begin with; without any, it begins with the benchmark's own.
    """

    def __init__(
        self, sweep: SweepFile, strategy: str, rung: int, first: Sequence[Mapping[str, Any]]
    ) -> None:
        assert sweep.tune is not None  # noqa: S101 - a file with a space has it
        self.sweep = sweep
        self.strategy = strategy
        self.rung = rung
        self.tune = sweep.tune
        parts = [sweep.name, sweep.benchmark, sweep.scale, strategy]
        if sweep.tune.ladder:
            parts.append(f"rung {rung}")
        self.name = "/".join(parts)
        self.space = sweep_expand.space_of(sweep, strategy)
        self.budget = sweep_expand.budget(sweep, strategy)
        self.replicates = [
            Replicate(benchmark, seed)
            for seed in self.tune.seeds
            for benchmark in (sweep.benchmark, *self.tune.also)
        ]
        self.default = self.points({}, self.replicates[:1])[0].experiment
        self.objective = self.tune.objective or [self.default.benchmark.select.metric]
        self.epoch = self.default.benchmark.select.epoch  # at which a run is judged
        self.first = [dict(params) for params in first]
        own = self.own()
        if not self.first and own is not None:
            self.first = [own]

    def own(self) -> dict[str, Any] | None:
        """The benchmark's own setting, if the space has it.

        It is the first trial, so that tuning never ends below it on val.
        """
        own = sweep_expand.own(self.sweep, self.default.benchmark, self.strategy)
        return None if own is None else stored(own)

    def agreement(self) -> dict[str, Any]:
        """The values two launches must agree on to share one study; the budget may grow."""
        agreed: dict[str, Any] = {
            "benchmark": self.sweep.benchmark,
            "scale": self.sweep.scale,
            "objective": self.objective,
            "epoch": self.epoch,
        }
        for path, dimension in self.space.items():
            agreed[f"space {path}"] = dimension.model_dump(exclude_defaults=True)
        for path, value in self.sweep.set.items():
            if path != "select.epoch":  # said above, also of studies that are older than it
                agreed[f"set {path}"] = value
        tune = self.tune.model_dump(exclude={"trials", "ladder", "objective", "sampler"})
        for key, value in tune.items():
            agreed[f"tune.{key}"] = value
        plain: dict[str, Any] = canonical(agreed)
        return plain

    def points(self, params: Mapping[str, Any], replicates: Sequence[Replicate]) -> list[Point]:
        """Runs of stored settings on replicates; raises UserError where the settings clash."""
        chosen = {"strategy": self.strategy, **settings(params)}
        return list(
            sweep_expand.points(
                self.sweep, [{**chosen, **replicate._asdict()} for replicate in replicates]
            )
        )

    def seed_points(self, params: Mapping[str, Any], seeds: Sequence[int]) -> list[Point]:
        """Runs of stored settings on the sweep's own benchmark."""
        return self.points(params, [Replicate(self.sweep.benchmark, seed) for seed in seeds])

    def round_of(self, slot: int) -> tuple[int, int]:
        """Where the round of a slot begins and ends."""
        opening = min(len(self.first), self.budget)
        return round_of(slot, opening, self.tune.round, self.budget)
