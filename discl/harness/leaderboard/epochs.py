"""Which epoch numbers are read at: one rule for all results, and where the other rule disagrees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from discl.core.conventions import VAL, EpochRule, epoch_rule, other_rule
from discl.core.result import Result
from discl.harness.leaderboard.statistics import Estimate, paired

if TYPE_CHECKING:
    from discl.harness.leaderboard.table import Board

MOST_TOLD = 4  # disagreements of a table that are written out, the largest first


class Reading(NamedTuple):
    """Results read at one epoch each, all by the same rule."""

    rule: EpochRule
    results: list[Result]
    other: list[Result]  # the same by the other rule; empty unless all of them have it
    note: str  # why it is another rule than the one that was wanted; "" where it is that


def read(results: Sequence[Result], wanted: str, *, asked: bool = False) -> Reading:
    """Results under the `wanted` rule, or all of them under `val` where one lacks its last epoch.

    Results of earlier versions keep only the epoch that val chose. Raises UserError for an unknown
    rule; and with `asked`, which says that somebody named it, where a result does not have it.
    """
    rule = epoch_rule(wanted)
    lacking = [result for result in results if rule not in result.rules]
    note = ""
    if lacking:
        if asked:
            lacking[0].under(rule.name)  # raises, with the way out
        note = _fallen_back(len(lacking), len(results), lacking[0])
        rule = VAL
    other = other_rule(rule)
    both = all(other in result.rules for result in results)
    return Reading(
        rule,
        [result.under(rule.name) for result in results],
        [result.under(other.name) for result in results] if both else [],
        note,
    )


def _fallen_back(lacking: int, results: int, first: Result) -> str:
    if lacking == results:
        return (
            "No result here keeps its last epoch (they are from before runs kept both), so this is"
            f" read at {VAL.words}."
        )
    return (
        f"{lacking} of {results} results keep no last epoch, such as {first.name} ({first.id}), so"
        f" all are read at {VAL.words}; run those again to read the last epoch."
    )


# ---------------------------------------------------------------- where the rules disagree


class Disagreement(NamedTuple):
    """A difference of two rows whose sign hangs on the rule."""

    metric: str
    strategy: str
    base: str
    here: Estimate  # strategy minus base under the board's rule
    there: Estimate  # under the other rule, paired by seed; its interval stands alone

    @property
    def told(self) -> bool:
        """Whether a rule tells the difference from zero."""
        return self.here.excludes_zero() or self.there.excludes_zero()


def disagreements(made: Board) -> list[Disagreement]:
    """Differences to the baselines, and of the first two rows, with another sign by the other rule.

    The largest first.
    """
    found = {}
    for metric, strategy, base, here in _compared(made):
        other: Mapping[str, Mapping[int, float]] = made.other.get(metric, {})
        there = paired(other.get(strategy, {}), other.get(base, {}))
        if here.n and there.n and here.mean * there.mean < 0:
            found[metric, strategy, base] = Disagreement(metric, strategy, base, here, there)
    return sorted(found.values(), key=lambda one: -abs(one.here.mean - one.there.mean))


def _compared(made: Board) -> Iterator[tuple[str, str, str, Estimate]]:
    for row in made.rows:
        for base, by_metric in row.differences.items():
            for metric, difference in by_metric.items():
                if base not in made.baselines or row.strategy not in made.baselines:
                    yield metric, row.strategy, base, difference.mean
    ranked = [row.strategy for row in made.rows if row.complete]
    if len(ranked) > 1:
        first, second = ranked[:2]
        yield made.first, first, second, made.pairs(made.first).between(first, second)


def warning(made: Board) -> str:
    """A sentence on the differences whose sign hangs on the rule; "" where there are none."""
    found = disagreements(made)
    told = [one for one in found if one.told]
    if not found:
        return ""
    if not told:
        count = f"{len(found)} difference{'s' if len(found) > 1 else ''}"
        return (
            f"The sign of {count} is another at {other_rule(made.rule).words}; neither rule tells"
            " one of them from zero."
        )
    cases = [
        f"{one.strategy} to {one.base} in {made.columns[one.metric]}: {100 * one.here.mean:+.1f}"
        f" here, {100 * one.there.mean:+.1f} there"
        for one in told[:MOST_TOLD]
    ]
    more = f"; and {len(found) - len(cases)} more" if len(found) > len(cases) else ""
    return (
        f"The sign hangs on the epoch that is read, {made.rule.words} here or"
        f" {other_rule(made.rule).words}: {'; '.join(cases)}{more}."
    )
