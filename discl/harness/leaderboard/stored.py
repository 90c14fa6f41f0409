"""Which stored runs belong to a benchmark as its file stands."""

from __future__ import annotations

from collections import Counter
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

    The strategies that it lists come first. Seeds are those of `seeds_in_common`; a board leaves
    the runs of others out, and names them.
    """
    if not results:
        return spec
    update: dict[str, Any] = {}
    if every_strategy:
        ran = {result.strategy for result in results}
        others = sorted(ran - set(spec.strategies))
        update["strategies"] = [name for name in spec.strategies if name in ran] + others
    if every_seed:
        update["seeds"] = seeds_in_common(results)
    return spec.model_copy(update=update)


def seeds_in_common(results: Sequence[Result]) -> list[int]:
    """The seeds to compare some runs on: those with which most rows can be compared.

    Of the sets of seeds that rows have in common, the one with the most degrees of freedom over
    complete rows, (rows - 1) x (seeds - 1): a seed that one row has beside all others is left out,
    and so is a row that lacks most of them. Runs from before a correction ask for no seeds; every
    seed where there is no other run, or no seed that two rows share.
    """
    of_row: dict[str, set[int]] = {}
    for result in results:
        known = of_row.setdefault(result.strategy, set())
        if result.seed not in known and not corrections_of(result.identity):
            known.add(result.seed)
    rows = Counter(frozenset(seeds) for seeds in of_row.values() if seeds)
    seeds = set[int]().union(*rows)
    if len(rows) < 2:
        return sorted(seeds or {result.seed for result in results})
    having = Counter({seed: sum(rows[row] for row in rows if seed in row) for seed in seeds})
    shared = [frozenset(seed for seed in seeds if having[seed] >= n) for n in {*having.values()}]

    def worth(chosen: frozenset[int]) -> tuple[int, int, int]:
        complete = sum(count for row, count in rows.items() if chosen <= row)
        return (max(0, complete - 1) * (len(chosen) - 1), complete, len(chosen))

    best = max(sorted({*rows, *shared}, key=sorted), key=worth)
    return sorted(best if worth(best)[1] > 1 else seeds)


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
