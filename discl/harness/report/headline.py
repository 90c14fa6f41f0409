"""The comparison in a sentence: the best strategy, its gain, and what explains it.

A gain has up to three steps: rebalancing of classes, synthetic images, and their order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from discl.core.text import counted, listed, typed
from discl.harness.leaderboard.simultaneous import AllPairs, all_pairs
from discl.harness.leaderboard.statistics import SIGNIFICANT, Estimate, differences
from discl.harness.leaderboard.table import Board, by_strategy

REAL = "real_only"
REBALANCED = "real_rebalanced"
ALL_LEVELS = "all_levels"
WORDING = {
    REAL: "real photos as they come",
    REBALANCED: "rebalanced real photos",
    ALL_LEVELS: "all levels at once",
}
WHERE = {  # title of a column -> how a sentence says it
    "all": "over all classes",
    "many": "on many-shot classes",
    "medium": "on medium-shot classes",
    "few": "on few-shot classes",
    "ood": "out of distribution",
    "worst group": "in the worst group",
    "worst class": "in the worst class",
    "worst group, ood": "in the worst group out of distribution",
    "all, adjusted": "over all classes with adjusted logits",
    "all, wise": "over all classes with interpolated weights",
    "ood, wise": "out of distribution with interpolated weights",
}

Scores = Mapping[str, Mapping[int, float]]  # strategy -> seed -> fraction


class GainStep(NamedTuple):
    """The gain of one strategy over another that lacks one thing."""

    step: str  # rebalancing, synthesis or order
    strategy: str  # with it
    over: str  # the strategy without it
    gain: Estimate


class Headline(NamedTuple):
    """The conclusion that the numbers support."""

    sentence: str
    notes: list[str]
    best: str | None  # the strategy the sentence is about
    certain: bool  # it beats the baseline, and the interval excludes zero
    base: str | None = None


def wording(strategy: str) -> str:
    """A strategy as a sentence names it."""
    return WORDING.get(strategy, strategy)


def where(title: str) -> str:
    """A column as a sentence names it."""
    return WHERE.get(title, f"in {title}")


def points(gain: Estimate, signed: bool = True) -> str:
    """A gain in points, such as '+4.1 ± 0.9'."""
    text = f"{100 * gain.mean:+.1f}" if signed else f"{abs(100 * gain.mean):.1f}"
    return text if gain.half_width is None else f"{text} ± {100 * gain.half_width:.1f}"


def points_or_not(gain: Estimate) -> str:
    """A gain in points, marked where its interval holds zero."""
    return points(gain) if gain.excludes_zero() else f"{points(gain)} (may be zero)"


def headline_metric(board: Board) -> str:
    """Few-shot accuracy, for which curricula are made; without it the metric that ranks."""
    return next((metric for metric, title in board.columns.items() if title == "few"), board.first)


def gain_steps(scores: Scores, ordered: Collection[str]) -> list[GainStep]:
    """From real photos over rebalancing and synthesis to order, as far as there are runs.

    Their intervals hold together, with those of all pairs of rows; `ordered` are the strategies
    with an order of levels.
    """
    pairs = [("rebalancing", REBALANCED, REAL), ("synthesis", ALL_LEVELS, REBALANCED)]
    pairs += [("order", name, ALL_LEVELS) for name in scores if name in ordered]
    family = all_pairs(scores)
    steps = [
        GainStep(step, name, over, family.between(name, over))
        for step, name, over in pairs
        if name in scores and over in scores
    ]
    return [step for step in steps if step.gain.n]


# ---------------------------------------------------------------- the sentence


def headline(board: Board, metric: str, scores: Scores) -> Headline:
    """The headline for one metric.

    `scores` holds every row; the sentence compares only those that have all seeds.
    """
    title = board.columns[metric]
    complete = _complete(board, metric, scores)
    ordered = [row.strategy for row in board.rows if row.ordered]
    partial = [
        row.strategy
        for row in board.rows
        if not (row.complete or row.before) and row.strategy in scores
    ]
    missing = [f"Not spoken of, since seeds are missing: {listed(partial)}."] if partial else []
    base = next((name for name in board.baselines if name in complete), None)
    if base is None:
        return Headline(_no_baseline(board, partial, scores, title), missing, None, False)
    family = all_pairs(complete)
    gains = {name: family.between(name, base) for name in complete if name != base}
    gains = {name: gain for name, gain in gains.items() if gain.n}
    if not gains:
        sentence = (
            f"Only {base} has been measured on every seed so far, so nothing is compared yet."
        )
        return Headline(sentence, missing, None, False, base)
    best = max(gains, key=lambda name: gains[name].mean)
    if gains[best].n == 1:
        return Headline(_one_seed(best, base, gains[best], title), missing, best, False, base)
    winners = [name for name in gains if gains[name].excludes_zero() and gains[name].mean > 0]
    if not winners:
        sure = [
            name
            for name, difference in differences(complete, base).items()
            if difference.p_holm is not None and difference.p_holm <= SIGNIFICANT
        ]
        last = [_without_winner(board, gains, best), *missing]
        notes = [*_order_notes(family, best, ordered), *last]
        return Headline(_no_winner(base, gains, title, sure), notes, best, False, base)
    best = max(winners, key=lambda name: gains[name].mean)
    sentence = (
        f"{wording(best)} beats {wording(base)} by {points(gains[best], signed=False)} points"
        f" {where(title)}{_share_of_order(best, family, ordered)}."
    )
    others = [name for name in winners if name != best]
    notes = [f"Told apart as well: {listed(others)}."] if others else []
    notes += [*_order_notes(family, best, ordered), _caution(board, gains, best), *missing]
    return Headline(_capitalised(sentence), notes, best, True, base)


def _complete(board: Board, metric: str, scores: Scores) -> Scores:
    """Scores of the rows with all seeds, with a sign so that a positive gain is a better one."""
    rows = by_strategy(board)
    sign = -1 if metric in board.lower_is_better else 1
    return {
        name: {seed: sign * value for seed, value in by_seed.items()}
        for name, by_seed in scores.items()
        if rows[name].complete and by_seed
    }


def _capitalised(sentence: str) -> str:
    """A sentence with a capital letter, unless it begins with the name of a strategy."""
    if not sentence.startswith(tuple(WORDING.values())):
        return sentence
    return sentence[0].upper() + sentence[1:]


def _no_baseline(board: Board, partial: Sequence[str], scores: Scores, title: str) -> str:
    baseline = board.baselines[0] if board.baselines else REBALANCED
    if baseline in scores and not scores[baseline]:
        return f"{title!r} was not measured of {baseline}, so nothing can be compared by it."
    if baseline in partial:
        return (
            f"{baseline} lacks seeds that others have, so nothing can be compared yet; --seeds"
            " picks those that all have."
        )
    words = ("discl", "bench", board.benchmark, "--scale", board.scale, "--strategies", baseline)
    return f"There is no run of {baseline}, so nothing can be compared: `{typed(*words)}`."


def _one_seed(best: str, base: str, gain: Estimate, title: str) -> str:
    return (
        f"One seed tells nothing apart: {where(title)} the largest difference to {wording(base)} is"
        f" that of {wording(best)}, {points(gain)} points, and another seed may turn it round."
    )


def _no_winner(base: str, gains: Mapping[str, Estimate], title: str, sure: Collection[str]) -> str:
    """`sure` are the strategies whose p of sign flips, corrected, tells them apart as well."""
    below = [name for name in gains if gains[name].excludes_zero()]
    behind = [name for name in below if name in sure]
    hinted = [name for name in below if name not in sure]
    best = max(gains, key=lambda name: gains[name].mean)
    result = f"no strategy beats {wording(base)} {where(title)}"
    if behind:
        result += f", and {listed(behind)} {'falls' if len(behind) == 1 else 'fall'} behind"
    if hinted:
        be = "is" if len(hinted) == 1 else "are"
        result += f", and {listed(hinted)} {be} below by the interval, not by p"
    if not below:
        result = f"no strategy clearly differs from {wording(base)} {where(title)}"
    return (
        f"{result}; the largest difference is that of {wording(best)}, {points(gains[best])}"
        " points."
    )


def _share_of_order(best: str, family: AllPairs, ordered: Collection[str]) -> str:
    """How much of the gain is due to order: the same images in an order and all at once."""
    if ALL_LEVELS not in family.names:
        return "; without runs of all_levels nothing says how much of it is order"
    if best == ALL_LEVELS:
        return _better_orders(family, ordered)
    gain = family.between(best, ALL_LEVELS)
    size = points(gain, signed=False)
    if best not in ordered:
        if not gain.excludes_zero():
            return f"; it does not clearly differ from {wording(ALL_LEVELS)} ({points(gain)})"
        return f", which is {size} {'more' if gain.mean > 0 else 'less'} than {wording(ALL_LEVELS)}"
    if not gain.excludes_zero():
        return f"; what order adds to it may be zero ({points(gain)})"
    if gain.mean < 0:
        return f"; its order costs {size} against {wording(ALL_LEVELS)}"
    return f"; order explains {size} of them"


def _better_orders(family: AllPairs, ordered: Collection[str]) -> str:
    """Whether an order beats all levels at once, where that is the best of the board."""
    gains = _gains_of_order(family, ordered)
    if not gains:
        return ", without any order of the levels"
    better = [name for name, gain in gains.items() if gain.mean > 0 and gain.excludes_zero()]
    if better:
        verb = "does" if len(better) == 1 else "do"
        return f"; with an order, {listed(better)} {verb} better still"
    return "; no order of the levels clearly adds to that"


def _gains_of_order(family: AllPairs, ordered: Collection[str]) -> dict[str, Estimate]:
    """Gains of every order of the levels over the same images all at once."""
    if ALL_LEVELS not in family.names:
        return {}
    return {name: family.between(name, ALL_LEVELS) for name in family.names if name in ordered}


def _order_notes(family: AllPairs, best: str, ordered: Collection[str]) -> list[str]:
    gains = _gains_of_order(family, ordered)
    if [*gains] == [best]:  # the headline has it
        return []
    known = [
        f"{name} {points_or_not(gain)}"
        for name, gain in gains.items()
        if gain.half_width is not None
    ]
    return [f"Order against {wording(ALL_LEVELS)}: {listed(known)}."] if known else []


def _without_winner(board: Board, gains: Mapping[str, Estimate], best: str) -> str:
    count = len(gains)
    told = any(gain.excludes_zero() for gain in gains.values())
    return (
        f"{gains[best].n} seeds, {counted(count, 'comparison')}; ± is half"
        " an interval that holds together with those of all pairs of rows in 95 %."
        f"{_least_p(board, gains[best].n) if told else ''}"
    )


def _caution(board: Board, gains: Mapping[str, Estimate], best: str) -> str:
    """How the winner was chosen, and how little its number of seeds can show."""
    n = gains[best].n
    return (
        f"{n} seeds; ± is half an interval that holds together with those of all pairs of rows in"
        f" 95 %, so choosing the largest difference is allowed for.{_least_p(board, n)}"
    )


def _least_p(board: Board, n: int) -> str:
    """What so few seeds cannot show; "" where a p of theirs can be small."""
    least = board.smallest_p
    if least <= SIGNIFICANT:
        return ""
    return (
        f" No sign-flip p of {n} seeds can be below {least:.3g}: what is told rests on the"
        " intervals alone."
    )
