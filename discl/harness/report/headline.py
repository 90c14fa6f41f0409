"""The answer in a sentence: who beats the baseline, by how much, and what of it is rebalancing,
synthesis and order.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from discl.core.text import listed
from discl.harness.leaderboard.statistics import Estimate, paired
from discl.harness.leaderboard.table import Board, by_strategy

REAL, REBALANCED, ALL_LEVELS = "real_only", "real_rebalanced", "all_levels"
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
    """One thing that is added on the way from the photos as they come to a curriculum, and what it
    gains.
    """

    step: str  # rebalancing, synthesis or order
    strategy: str  # with it
    over: str  # the strategy without it
    gain: Estimate


class Headline(NamedTuple):
    """What the numbers allow to say."""

    sentence: str
    notes: list[str]
    best: str | None  # the strategy the sentence is about
    certain: bool  # it beats the baseline, and the interval says so
    base: str | None = None


def wording(strategy: str) -> str:
    """A strategy as a sentence names it."""
    return WORDING.get(strategy, strategy)


def where(title: str) -> str:
    """A column as a sentence names it."""
    return WHERE.get(title, f"in {title}")


def points(gain: Estimate, signed: bool = True) -> str:
    """'+4.1 ± 0.9', in points."""
    text = f"{100 * gain.mean:+.1f}" if signed else f"{abs(100 * gain.mean):.1f}"
    return text if gain.half_width is None else f"{text} ± {100 * gain.half_width:.1f}"


def points_or_not(gain: Estimate) -> str:
    """The points, and whether they are to be believed."""
    return points(gain) if gain.excludes_zero() else f"{points(gain)} (not told from zero)"


def headline_metric(made: Board) -> str:
    """Few-shot classes, where the curriculum promises most; otherwise the column that ranks."""
    return next((metric for metric, title in made.columns.items() if title == "few"), made.first)


# ---------------------------------------------------------------- the chain


def gain_steps(scores: Scores, ordered: Collection[str]) -> list[GainStep]:
    """From real photos over rebalancing and synthesis to order, as far as there are runs.

    Each step is paired by seed; `ordered` are the strategies with an order of levels.
    """
    steps = [("rebalancing", REBALANCED, REAL), ("synthesis", ALL_LEVELS, REBALANCED)]
    steps += [("order", name, ALL_LEVELS) for name in scores if name in ordered]
    links = [
        GainStep(step, name, over, paired(scores[name], scores[over]))
        for step, name, over in steps
        if name in scores and over in scores
    ]
    return [link for link in links if link.gain.n]


# ---------------------------------------------------------------- the sentence


def headline(made: Board, metric: str, scores: Scores) -> Headline:
    """The headline for one metric.

    `scores` holds every row; only those with all seeds are spoken of.
    """
    rows = by_strategy(made)
    title = made.columns[metric]
    sign = -1 if metric in made.lower_is_better else 1  # so that a positive gain is a better one
    whole = {
        name: {seed: sign * value for seed, value in scores[name].items()}
        for name in scores
        if rows[name].complete and scores[name]
    }
    ordered = [row.strategy for row in made.rows if row.ordered]
    partial = [name for name in scores if not rows[name].complete]
    notes = [f"Not spoken of, since seeds are missing: {listed(partial)}."] if partial else []
    base = next((name for name in made.baselines if name in whole), None)
    if base is None:
        return Headline(_no_baseline(made, partial, scores, title), notes, None, False)
    gains = {
        name: gain
        for name in whole
        if name != base and (gain := paired(whole[name], whole[base])).n
    }
    if not gains:
        return Headline(
            f"Only {base} has been measured on every seed so far, so nothing is compared yet.",
            notes,
            None,
            False,
            base,
        )
    best = max(gains, key=lambda name: gains[name].mean)
    if gains[best].half_width is None:
        return Headline(_one_seed(best, base, gains, title), notes, best, False, base)
    winners = [name for name in gains if gains[name].excludes_zero() and gains[name].mean > 0]
    if not winners:
        return Headline(
            _nobody(base, gains, title),
            [*_orders(whole, best, ordered), *_cautions(made, gains, best, False), *notes],
            best,
            False,
            base,
        )
    best = max(winners, key=lambda name: gains[name].mean)
    sentence = (
        f"{wording(best)} beats {wording(base)} by {points(gains[best], signed=False)} points"
        f" {where(title)}{_of_order(best, whole, ordered)}."
    )
    return Headline(
        _capital(sentence),
        [
            *_beside(winners, best),
            *_orders(whole, best, ordered),
            *_cautions(made, gains, best, True),
            *notes,
        ],
        best,
        True,
        base,
    )


def _capital(sentence: str) -> str:
    """Names of strategies stay as they are."""
    return (
        sentence[0].upper() + sentence[1:]
        if sentence.startswith(tuple(WORDING.values()))
        else sentence
    )


def _no_baseline(made: Board, partial: Sequence[str], scores: Scores, title: str) -> str:
    wanted = made.baselines[0] if made.baselines else REBALANCED
    if wanted in scores and not scores[wanted]:
        return f"{title!r} was not measured of {wanted}, so nothing can be compared by it."
    if wanted in partial:
        return (
            f"{wanted} lacks seeds that others have, so nothing can be compared yet; --seeds picks"
            " those that all have."
        )
    return (
        f"There is no run of {wanted}, so nothing can be compared: `discl bench {made.benchmark}"
        f" --scale {made.scale} --strategies {wanted}`."
    )


def _one_seed(best: str, base: str, gains: Mapping[str, Estimate], title: str) -> str:
    return (
        f"One seed tells nothing apart: {where(title)} the largest difference to {wording(base)} is"
        f" that of {wording(best)}, {points(gains[best])} points, and another seed may turn it"
        " round."
    )


def _nobody(base: str, gains: Mapping[str, Estimate], title: str) -> str:
    below = [name for name in gains if gains[name].excludes_zero()]
    best = max(gains, key=lambda name: gains[name].mean)
    said = f"No strategy is told apart from {wording(base)} {where(title)}"
    if below:
        said = (
            f"No strategy beats {wording(base)} {where(title)}, and {listed(below)}"
            f" {'falls' if len(below) == 1 else 'fall'} behind"
        )
    return (
        f"{said}; the largest difference is that of {wording(best)}, {points(gains[best])} points."
    )


def _of_order(best: str, whole: Scores, ordered: Collection[str]) -> str:
    """What order has to do with it, against the same images all at once."""
    if ALL_LEVELS not in whole:
        return "; without runs of all_levels nothing says how much of it is order"
    if best == ALL_LEVELS:
        return _without_order(whole, ordered)
    gain = paired(whole[best], whole[ALL_LEVELS])
    if best not in ordered:
        return _without_levels(gain)
    if not gain.excludes_zero():
        return f"; what order adds to it cannot be told from zero ({points(gain)})"
    if gain.mean < 0:
        return f"; its order costs {points(gain, signed=False)} against {wording(ALL_LEVELS)}"
    return f"; order explains {points(gain, signed=False)} of them"


def _without_levels(gain: Estimate) -> str:
    """Of a strategy that neither mixes the levels nor orders them."""
    if not gain.excludes_zero():
        return f"; it is not told apart from {wording(ALL_LEVELS)} ({points(gain)})"
    return (
        f", which is {points(gain, signed=False)} {'more' if gain.mean > 0 else 'less'} than"
        f" {wording(ALL_LEVELS)}"
    )


def _orders(whole: Scores, best: str, ordered: Collection[str]) -> list[str]:
    """What every order of the levels gains over the same images all at once."""
    gains = {
        name: paired(whole[name], whole[ALL_LEVELS])
        for name in whole
        if name in ordered and ALL_LEVELS in whole
    }
    told = [
        f"{name} {points_or_not(gain)}"
        for name, gain in gains.items()
        if gain.half_width is not None
    ]
    return (
        [f"Order against {wording(ALL_LEVELS)}: {listed(told)}."]
        if told and [*gains] != [best]
        else []
    )


def _without_order(whole: Scores, ordered: Collection[str]) -> str:
    gains = {name: paired(whole[name], whole[ALL_LEVELS]) for name in whole if name in ordered}
    better = [name for name, gain in gains.items() if gain.mean > 0 and gain.excludes_zero()]
    if not gains:
        return ", without any order of the levels"
    if better:
        return (
            f"; with an order, {listed(better)} {'does' if len(better) == 1 else 'do'} better still"
        )
    return "; no order of the levels adds to that anything that can be told from zero"


def _beside(winners: Sequence[str], best: str) -> list[str]:
    others = [name for name in winners if name != best]
    return [f"Told apart as well: {listed(others)}."] if others else []


def _cautions(made: Board, gains: Mapping[str, Estimate], best: str, won: bool) -> list[str]:
    """What speaks against taking the sentence for more than it is."""
    n = gains[best].n
    count = len(gains)
    if not won:
        return [
            f"{n} seeds, {count} {'comparison' if count == 1 else 'comparisons'}; ± is half the 95"
            " % interval of the difference paired by seed."
        ]
    chosen = (
        f"the largest of {count} comparisons and not corrected for their number"
        if count > 1
        else "the one comparison"
    )
    least = made.smallest_p
    hint = f" No sign-flip p of {n} seeds can be below {least:.3g}." if least > 0.05 else ""
    return [f"{n} seeds, paired; ± is half the 95 % interval. It is {chosen}.{hint}"]
