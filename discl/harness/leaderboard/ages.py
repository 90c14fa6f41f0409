"""Stored results by age: those that compare with each other, and those from before a correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from discl.core.result import Result
from discl.core.text import listed
from discl.harness.leaderboard.corrections import corrections_of, old_metrics

MOST_TOLD = 4  # of what is left out


@dataclass(frozen=True)
class Ages:
    """Results of one table."""

    compared: list[Result]  # numbers that a correction touches are among them, in `old`
    before: list[Result]  # all from before a correction, of strategies that were not run again
    old: Mapping[str, Mapping[str, Sequence[str]]]  # id -> metric -> names of corrections

    @property
    def comparable(self) -> list[Result]:
        """`compared`, without the id of definitions where a correction changed some of them."""
        return [
            replace(result, comparability=_but_definitions(result))
            if result.id in self.old
            else result
            for result in self.compared
        ]

    def corrections(self, results: Sequence[Result]) -> tuple[str, ...]:
        """Names of the corrections that touch some results."""
        names = [
            correction.name
            for result in results
            if result.id in self.old
            for correction in corrections_of(result.identity)
        ]
        return tuple(dict.fromkeys(names))


def by_age(results: Sequence[Result]) -> Ages:
    """Tell results apart by the corrections that touch them.

    A result is from before a correction where the metric that chose its epoch means something else
    today, or where its key no longer agrees with that of the results that nothing touches. Where
    a strategy was run again, only the new runs are kept.
    """
    old = {result.id: metrics for result in results if (metrics := old_metrics(result))}
    keys: dict[str, Any] = {}
    for result in results:
        if result.id not in old:
            for key, value in result.comparability.items():
                if value is not None:
                    keys.setdefault(key, value)

    def is_before(result: Result) -> bool:
        if result.id not in old:
            return False
        chosen = str(result.identity["select"]["metric"]).removeprefix("val/")
        if any(metric.endswith(f"/{chosen}") for metric in old[result.id]):
            return True
        own = _but_definitions(result)
        return any(
            value is not None and keys.get(key, value) != value for key, value in own.items()
        )

    before = [result for result in results if is_before(result)]
    ids = {result.id for result in before}
    compared = [result for result in results if result.id not in ids]
    again = {result.strategy for result in compared}
    return Ages(compared, [result for result in before if result.strategy not in again], old)


def without_strays(ages: Ages, seeds: Sequence[int]) -> tuple[Ages, tuple[str, ...]]:
    """`ages` without the runs of other seeds than these, and a sentence that names them.

    Numbers that a correction touches stay: they ask for no seeds, and are compared with nothing.
    All stay where no run is of one of the seeds.
    """
    strays = [
        result for result in ages.compared if result.seed not in seeds and result.id not in ages.old
    ]
    if not strays or len(strays) == len(ages.compared):
        return ages, ()
    of_strategies: dict[tuple[str, ...], list[int]] = {}
    for seed in sorted({result.seed for result in strays}):
        having = sorted({result.strategy for result in strays if result.seed == seed})
        of_strategies.setdefault(tuple(having), []).append(seed)
    gone = {result.id for result in strays}
    kept = [result for result in ages.compared if result.id not in gone]
    return replace(ages, compared=kept), (_named(of_strategies),)


def _named(strays: Mapping[tuple[str, ...], Sequence[int]]) -> str:
    """A sentence on which rows had the seeds that are left out."""
    told = [
        f"{'seed' if len(seeds) == 1 else 'seeds'} {_in_few_words(seeds)}"
        f" {'has' if len(seeds) == 1 else 'have'} {listed(_first(strategies))} only"
        for strategies, seeds in strays.items()
    ]
    more = f"; and so on for {len(told) - MOST_TOLD} more" if len(told) > MOST_TOLD else ""
    sentence = "; ".join(told[:MOST_TOLD])
    return (
        f"Left out: {sentence}{more}. Rows are compared on seeds that they share; --seeds picks"
        " others."
    )


def _first(strategies: Sequence[str]) -> list[str]:
    """The first few names, and how many there are beyond."""
    more = len(strategies) - MOST_TOLD
    return [*strategies[:MOST_TOLD], *([f"{more} more"] if more > 0 else [])]


def _in_few_words(seeds: Sequence[int]) -> str:
    """'0 to 4, 7 and 41', of seeds in ascending order."""
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][-1] + 1:
            spans[-1].append(seed)
        else:
            spans.append([seed])
    words = list[str]()
    for span in spans:
        words += [f"{span[0]} to {span[-1]}"] if len(span) > 2 else map(str, span)
    return listed(words)


def _but_definitions(result: Result) -> dict[str, Any]:
    return {key: value for key, value in result.comparability.items() if key != "definitions"}
