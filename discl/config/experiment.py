"""One run of a benchmark: a strategy and a seed, with an identity."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from discl.config import identity
from discl.config.benchmark import Benchmark
from discl.config.part_cache import PartCache
from discl.core.hashing import short_of_json


@dataclass(frozen=True)
class Experiment:
    """One run: a benchmark, one strategy, one seed.

    What its identity says of files is read when first asked for.
    """

    benchmark: Benchmark
    strategy: str
    seed: int
    parts: PartCache = field(default_factory=PartCache, compare=False, repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # without `parts`: an id is about the weights on the machine that computes it
        return Experiment, (self.benchmark, self.strategy, self.seed)

    @property
    def name(self) -> str:
        """Benchmark, scale, backbone, strategy and seed in one word."""
        bench = self.benchmark
        return f"{bench.name}-{bench.scale}-{bench.backbone['name']}-{self.strategy}-s{self.seed}"

    def used_levels(self) -> tuple[int, ...]:
        """The levels this run's strategy may ask for, that of the photo included."""
        return identity.used_levels(self.benchmark, self.strategy, self.parts)

    def comparison(self) -> dict[str, Any]:
        """The settings that two runs of one table share.

        Their strategies, seeds and generated images may differ.
        """
        values = identity.comparison_json(self.benchmark, self.parts)
        return {key: json.loads(value) for key, value in values.items()}

    def identity(self) -> dict[str, Any]:
        """Everything that changes the answer."""
        plain: dict[str, Any] = json.loads(self._identity_json())
        return plain

    def id(self) -> str:
        """16 hex digits: the folder of its runs."""
        return self._id

    @cached_property
    def _id(self) -> str:
        return short_of_json(self._identity_json())

    def _identity_json(self) -> str:
        return identity.run_json(self.benchmark, self.strategy, self.seed, self.parts)


def experiments(bench: Benchmark) -> list[Experiment]:
    """Strategies x seeds.

    Seeds go slowest, so that a sweep that is stopped has compared all strategies on the seeds it
    finished.
    """
    parts = PartCache()
    return [
        Experiment(bench, strategy, seed, parts)
        for seed in bench.seeds
        for strategy in bench.strategies
    ]
