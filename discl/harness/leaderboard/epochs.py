"""Which epoch numbers are read at: one rule for all results that stand together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from discl.core.conventions import VAL, EpochRule, epoch_rule, other_rule
from discl.core.result import Result


class EpochReading(NamedTuple):
    """Results read at one epoch each, all by the same rule."""

    rule: EpochRule
    results: list[Result]
    other: list[Result]  # the same by the other rule; empty unless all of them have it
    note: str  # why it is another rule than the one that was wanted; "" where it is that


def read(results: Sequence[Result], wanted: str, *, asked: bool = False) -> EpochReading:
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
    return EpochReading(
        rule,
        [result.under(rule.name) for result in results],
        [result.under(other.name) for result in results] if both else [],
        note,
    )


class RuleChoice(NamedTuple):
    """Results that have a rule, and a sentence about those that have not."""

    results: list[Result]
    left_out: str  # "" where all have it, or none, so that another rule is left


def with_rule(results: Sequence[Result], wanted: str) -> RuleChoice:
    """The results that a table by the `wanted` rule can show; all of them where none has it.

    A few results of earlier versions, which keep one epoch only, are left out and named rather than
    read at an epoch that nobody asked for. Raises UserError for an unknown rule.
    """
    rule = epoch_rule(wanted)
    having = [result for result in results if rule in result.rules]
    if not having:
        return RuleChoice(list(results), "")
    return RuleChoice(having, _left_out([each for each in results if rule not in each.rules]))


def _left_out(lacking: Sequence[Result]) -> str:
    if not lacking:
        return ""
    first, others = lacking[0], len(lacking) - 1
    named = f"{first.name} ({first.id})" + (f" and {others} more" if others else "")
    keeps, it = ("keeps", "it") if not others else ("keep", "them")
    return (
        f"Left out: {named}, which {keeps} no last epoch, from before runs kept both;"
        f" run {it} again, or read all with --epoch {VAL.name}."
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
