"""Stored results by age: those that compare with each other, and those from before a correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from discl.core.result import Result
from discl.harness.leaderboard.corrections import corrections_of, old_metrics


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


def _but_definitions(result: Result) -> dict[str, Any]:
    return {key: value for key, value in result.comparability.items() if key != "definitions"}
