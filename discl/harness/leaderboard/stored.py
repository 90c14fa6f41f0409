"""Which stored runs belong to a benchmark as its file stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment, experiments
from discl.config.part_cache import PartCache
from discl.core.errors import UserError
from discl.core.registry import names
from discl.core.result import Result
from discl.core.text import echo
from discl.harness.leaderboard.corrections import corrections_of, without_marks
from discl.harness.run.store import Store


def stored_results(spec: Benchmark, store: Store) -> list[Result]:
    """The complete runs of a benchmark's experiments."""
    runs = [store.find(experiment.id()) for experiment in experiments(spec)]
    return [result for result in runs if result]


def runs_of(
    spec: Benchmark,
    store: Store,
    *,
    every_strategy: bool = True,
    every_seed: bool = True,
    every_file: bool = False,
) -> tuple[Benchmark, list[Result]]:
    """`spec` with the strategies and seeds that have complete runs, and these runs.

    Every strategy counts that was run with these settings, also one that the file does not list or
    that is not installed here; without `every_strategy` or `every_seed`, only those of `spec`. Runs
    from before a correction are among them. Each result file is read once. `spec` itself where
    there is no run. Of a file that cannot be read a line is printed, and it does not count; with
    `every_file`, raises UserError.
    """
    known = _Settings(spec)
    results = [
        result
        for result in store.complete(None if every_file else _tell)
        if (result.benchmark, result.scale) == (spec.name, spec.scale)
        and (every_strategy or result.strategy in spec.strategies)
        and (every_seed or result.seed in spec.seeds)
        and known.made(result)
    ]
    return with_runs(spec, results, every_strategy=every_strategy, every_seed=every_seed), results


def _tell(error: UserError) -> None:
    echo(f"not counted: {error}", err=True)


def with_runs(
    spec: Benchmark, results: Sequence[Result], *, every_strategy: bool, every_seed: bool
) -> Benchmark:
    """`spec` with the strategies and the seeds of some results; its own where there is none.

    The strategies that it lists come first. Runs from before a correction ask for no seeds.
    """
    if not results:
        return spec
    update: dict[str, Any] = {}
    if every_strategy:
        ran = {result.strategy for result in results}
        others = sorted(ran - set(spec.strategies))
        update["strategies"] = [name for name in spec.strategies if name in ran] + others
    if every_seed:
        update["seeds"] = _seeds_of(results)
    return spec.model_copy(update=update)


def _seeds_of(results: Sequence[Result]) -> list[int]:
    """The seeds with a run that no correction touches; every seed where there is none."""
    seeds: set[int] = set()
    for result in results:
        if result.seed not in seeds and not corrections_of(result.identity):
            seeds.add(result.seed)
    return sorted(seeds or {result.seed for result in results})


class _Settings:
    """The settings of a benchmark, by which a run is known to be one of its own."""

    def __init__(self, spec: Benchmark) -> None:
        self._spec = spec
        self._parts = PartCache()  # ids of one spec have most of their identity in common

    def made(self, result: Result) -> bool:
        """Whether the run was made with these settings, or was before a correction."""
        if result.strategy not in names("strategies"):
            touching = corrections_of(result.identity)
            own = without_marks(_but_strategy(result.identity), touching)
            return any(
                own == without_marks(_but_strategy(known), touching)
                for known in self._known(result.seed)
            )
        experiment = self._experiment(result.strategy, result.seed)
        if experiment.id() == result.id:
            return True
        touching = corrections_of(result.identity)
        if not touching:
            return False
        own = without_marks(result.identity, touching)
        return own == without_marks(experiment.identity(), touching)

    def _experiment(self, strategy: str, seed: int) -> Experiment:
        return Experiment(self._spec, strategy, seed, self._parts)

    def _known(self, seed: int) -> Iterator[dict[str, Any]]:
        """Identities of the benchmark's own strategies."""
        for strategy in self._spec.strategies:
            yield self._experiment(strategy, seed).identity()


def _but_strategy(identity: Mapping[str, Any]) -> dict[str, Any]:
    """An identity without the strategy, and without the levels that it uses."""
    plain = {key: value for key, value in identity.items() if key != "strategy"}
    if "images" in plain:
        plain["images"] = {key: value for key, value in plain["images"].items() if key != "levels"}
    return plain
