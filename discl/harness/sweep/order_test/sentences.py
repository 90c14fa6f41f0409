"""The result of an order test in sentences: what to conclude, and what cannot be concluded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from discl.harness.leaderboard.statistics import Estimate
from discl.harness.sweep.order_test.statistics import (
    SIGNIFICANT,
    DistanceTrend,
    OrderRank,
    OrderTestResult,
    VarianceShares,
)

Standing = Literal["above", "amid", "below"]
_MATTERS: Mapping[Standing, str] = {
    "above": "Order matters here, and the paper's is better than one picked at random.",
    "amid": (
        "Order matters here, but nothing says that the paper's is better than one picked at random."
    ),
    "below": "Order matters here, and the paper's is worse than one picked at random.",
}
_NOISE: Mapping[Standing, str] = {
    "above": (
        "The paper's order ranks high, but the orders differ by no more than noise: run more seeds"
        " before believing it."
    ),
    "amid": "Nothing here says that order matters.",
    "below": (
        "The paper's order ranks low, but the orders differ by no more than noise: run more seeds"
        " before believing it."
    ),
}


def sentences(result: OrderTestResult, metric: str) -> list[str]:
    """The conclusions a reader should draw, and, last, those that cannot be drawn."""
    count = len(result.ranking)
    of = f"All {count}" if result.complete else f"{count} of the {result.possible:,}"
    return [
        (
            f"{of} orders of the levels {_words(sorted(result.paper))}, with"
            f" {len(result.seeds)} seeds each, by {metric}."
        ),
        _on_rank(result),
        _on_variance(result.variance),
        _on_trend(result.trend),
        (
            f"Against its reverse the paper's order makes {_difference(result.to_reverse)}."
            f" {_on_best_and_worst(result)}"
        ),
        _verdict(result),
        (
            "What this cannot say: orders that truly deviate by less than"
            f" {_points(result.variance.noticeable)} points would be missed more than one time in"
            " five, so a test without a finding is no proof that order is nothing. Where the"
            " learning rate falls, what comes last is learnt at the lowest, so order here is order"
            " under this schedule. Each p-value and each interval stands alone: none is corrected"
            " for there being several. Other data, networks, lengths of stages and amounts of"
            " synthesis may say otherwise."
        ),
    ]


def _on_rank(result: OrderTestResult) -> str:
    rank = result.paper_rank
    own = next(mean for order, mean in result.ranking if order == result.paper)
    against = f"{rank.held_against} {'others' if result.complete else 'drawn at random'}"
    return (
        f"The paper's order ({_words(result.paper)}) is {_ordinal(rank.rank)} of"
        f" {len(result.ranking)} with {_percent(own)}: {_percent(rank.as_good, 0)} of the others"
        f" do at least as well. Held against the {against}, an order picked by chance does as well"
        f" with {_p(rank.p_better)} (two-sided {_p(rank.p_two_sided)}); no p below"
        f" {rank.smallest_p:.2g} can come of so many."
    )


def _on_variance(variance: VarianceShares) -> str:
    too_few = ""
    if variance.smallest_p >= SIGNIFICANT:
        too_few = f"; no p below {variance.smallest_p:.2g} can come of so few runs"
    return (
        f"Order explains {_percent(variance.order_beyond_seeds, 0)} of the variance beyond seeds"
        f" ({_p(variance.p)}{too_few}): the orders' means deviate by {_points(variance.spread)}"
        f" points, and noise alone would make it {_points(variance.noise)}."
    )


def _on_trend(trend: DistanceTrend) -> str:
    if trend.correlation is None:
        return "All orders score alike."
    meaning = "no trend that can be distinguished from chance"
    if trend.p < SIGNIFICANT:
        direction = "better" if trend.correlation < 0 else "worse"
        meaning = f"orders nearer to the paper's do {direction}"
    return (
        f"Score and distance from the paper's order: Spearman {trend.correlation:+.2f}"
        f" ({_p(trend.p)}), {meaning}."
    )


def _on_best_and_worst(result: OrderTestResult) -> str:
    worst = f"The worst ({_words(result.worst.order)}) has {_percent(result.worst.mean)}."
    if result.paper_rank.rank == 1:
        return f"No order does better. {worst}"
    return (
        f"The best order ({_words(result.best.order)}, {_percent(result.best.mean)}) was picked"
        " for being best, which flatters its lead: the paper's makes"
        f" {_difference(result.to_best)} against it. {worst}"
    )


def _verdict(result: OrderTestResult) -> str:
    standing = _standing(result.paper_rank)
    if result.variance.p < SIGNIFICANT:
        return _MATTERS[standing]
    if result.trend.p < SIGNIFICANT:
        return (
            "Only the trend hints that order matters, and the orders differ by no more than noise:"
            " run more seeds before believing it."
        )
    return _NOISE[standing]


def _standing(rank: OrderRank) -> Standing:
    """One-sided above, since the paper claims that its order is better; two-sided below."""
    if rank.p_better < SIGNIFICANT:
        return "above"
    return "below" if rank.p_two_sided < SIGNIFICANT else "amid"


def _words(order: Sequence[int]) -> str:
    return ", ".join(map(str, order))


def _percent(fraction: float, digits: int = 1) -> str:
    return f"{100 * fraction:.{digits}f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _difference(difference: Estimate) -> str:
    if difference.half_width is None:
        return f"{100 * difference.mean:+.1f} points (without an interval: all seeds say the same)"
    low = 100 * (difference.mean - difference.half_width)
    high = 100 * (difference.mean + difference.half_width)
    tie = "" if difference.excludes_zero() else ", so a tie"
    return f"{100 * difference.mean:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}{tie})"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"
