"""Power: the difference that some seeds tell apart, and the seeds that a difference takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from discl.core.class_counts import FEW_TEST_PHOTOS
from discl.core.result import Result
from discl.core.text import counted
from discl.harness.leaderboard import columns
from discl.harness.leaderboard.studentized_range import student_tail_begin, upper_quantile
from discl.harness.leaderboard.table import Board

POWER = 0.8  # a true difference of this size is told apart four times out of five
MOST_SEEDS = 2_000
LEAST_TOLD = 0.05  # points; less is written as 0.0
# standard deviation over seeds where no run is stored: that of `few` in the published cifar10_lt
STATED_SPREAD = 0.013
STATED_PHOTOS = 3000  # test photos of `few` there


def pooled_spread(groups: Iterable[Sequence[float]]) -> float | None:
    """Root mean square of the groups' standard deviations; None where no group has two values."""
    variances = [float(np.var(group, ddof=1)) for group in groups if len(group) > 1]
    return math.sqrt(sum(variances) / len(variances)) if variances else None


def told_apart(seeds: int, spread: float, rows: int) -> float:
    """The true difference that `seeds` tell apart in four of five tables of `rows`.

    `spread` is the standard deviation over seeds, in the unit of the answer; rows vary alike.
    Infinite for one seed.
    """
    if seeds < 2:
        return math.inf
    freedom = 1.5 * (seeds - 1)  # less than two rows have: a floor of spreads widens intervals
    quantile = float(upper_quantile(max(2, rows), np.array(freedom))) / math.sqrt(2)
    return (quantile + student_tail_begin(freedom, 1 - POWER)) * spread * math.sqrt(2 / seeds)


def seeds_needed(difference: float, spread: float, rows: int) -> int | None:
    """The fewest seeds that tell such a true difference apart; None where 2,000 do not."""
    if told_apart(MOST_SEEDS, spread, rows) > difference:
        return None
    low, high = 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        if told_apart(middle, spread, rows) > difference:
            low = middle
        else:
            high = middle
    return high


def spreads_of(results: Sequence[Result]) -> dict[str, float]:
    """Title -> standard deviation over seeds of the columns `all` and `few` of stored runs.

    Empty where no strategy has two seeds.
    """
    if not results:
        return {}
    spreads = {}
    for metric, title in columns.of(results).titles.items():
        groups: dict[str, list[float]] = {}
        for result in results:
            value = result.metrics.get(metric, math.nan)
            if math.isfinite(value):
                groups.setdefault(result.strategy, []).append(value)
        spread = pooled_spread(groups.values())
        if title in ("all", "few") and spread:
            spreads[title] = spread
    return spreads


def stated_spread(photos: Sequence[int]) -> float | None:
    """The stated spread where `few` has so many test photos [c] of each class; None = too few.

    A mean of recalls over few photos varies by chance, too: at accuracy 1/2 by 1 / (4 n), where n
    photos in equal parts say as much. Seeds are measured on the same photos, so it is the most.
    """
    if not photos:
        return None
    alike = len(photos) ** 2 / sum(1 / count for count in photos)
    if alike < FEW_TEST_PHOTOS:
        return None
    return math.sqrt(STATED_SPREAD**2 + max(0.0, 1 / alike - 1 / STATED_PHOTOS) / 4)


def sentences(
    spreads: Mapping[str, float],
    rows: int,
    seeds: int,
    minutes_a_run: float | None,
    few_photos: Sequence[int] | None = None,
) -> list[str]:
    """What `seeds` seeds tell apart, and what 5, 2 and 1 points take.

    Without a stored spread, the stated one, with what chance adds to it where `few` has fewer test
    photos than there, `few_photos` [c] of each class; none where these are too few. None = as many.
    `minutes_a_run` = None leaves the time out.
    """
    origin = "today's spread, from stored runs"
    if not spreads:
        stated = STATED_SPREAD if few_photos is None else stated_spread(few_photos)
        if stated is None:
            return [_too_few(few_photos or ())]
        spreads = {"few": stated}
        origin = "a stated spread, that of few at smoke in the published table; no two stored seeds"
        if stated > STATED_SPREAD:
            origin = (
                f"at most about, by chance over {counted(sum(few_photos or ()), 'test photo')} and"
                f" the spread of few at smoke in the published table, {100 * STATED_SPREAD:.1f}; no"
                " two stored seeds"
            )
    lines = []
    for title, spread in spreads.items():
        if 100 * spread < LEAST_TOLD:
            lines.append(
                f"power in {title}: seeds of stored runs differ by under {LEAST_TOLD} points, so"
                " nothing says how many seeds a difference takes"
            )
            continue
        least = 100 * told_apart(seeds, spread, rows)
        now = "one seed makes no claim"
        if math.isfinite(least):
            now = _told(seeds, least / 100)
        prices = [_price(points, spread, rows, minutes_a_run) for points in (5, 2, 1)]
        lines.append(
            f"power in {title}: {now}; to see a difference 4 of 5 times takes, for"
            f" {'; '.join(prices)} ({rows} rows, spread over seeds {100 * spread:.1f}: {origin})"
        )
    return lines


def _too_few(photos: Sequence[int]) -> str:
    """That nothing is known before the first runs, since `few` has so few test photos [c]."""
    total = sum(photos)
    if not total:
        return "power in few: unknown, as few has no test photo here"
    return (
        "power in few: unknown before two seeds are stored, as few has"
        f" {counted(total, 'test photo')} here, of {counted(len(photos), 'class', 'classes')}: one"
        f" photo moves it by about {100 / total:.0f} points, so that seeds differ by far more than"
        f" the {100 * STATED_SPREAD:.1f} points of the published table"
    )


def of_first_two(made: Board, metric: str) -> str:
    """How many seeds would tell the best two complete rows apart, by a metric, as a sentence.

    It takes the difference that was measured for the true one, which flatters the best row. ""
    where no two complete rows have the metric.
    """
    complete = {row.strategy for row in made.rows if row.complete}
    values = {
        name: [*by_seed.values()]
        for name, by_seed in made.values(metric).items()
        if name in complete and by_seed
    }
    if len(values) < 2:
        return ""
    sign = 1 if metric in made.lower_is_better else -1
    first, second, *_ = sorted(values, key=lambda name: sign * float(np.mean(values[name])))
    pair = made.pairs(metric).between(first, second)
    if not pair.n:
        return ""
    difference = abs(pair.mean)
    begin = (
        f"Power: in `{made.columns[metric]}` the first two, {first} and {second}, differ by"
        f" {100 * difference:.1f} points"
    )
    spread = pooled_spread(values.values())
    rows, seeds = len(values), len(made.declared_seeds)
    if seeds < 2:
        return f"{begin}; one seed says nothing of how far another would be."
    if not spread or 100 * spread < LEAST_TOLD:
        return f"{begin}; its seeds do not differ, so nothing says how many would tell them apart."
    least = told_apart(seeds, spread, rows)
    if 100 * difference < LEAST_TOLD:
        return f"{begin}, so nothing is to be told apart; {_told(seeds, least)}."
    needed = seeds_needed(difference, spread, rows)
    count = f"more than {MOST_SEEDS:,}" if needed is None else f"{needed:,}"
    return (
        f"{begin}; if that is the true difference, {count} seeds would tell them apart four times"
        f" out of five ({rows} rows, spread {100 * spread:.1f} points)."
        f" {_told(seeds, least)}."
    )


def _told(seeds: int, least: float) -> str:
    """What so many seeds tell apart, `least` as a share; no two accuracies are 100 points apart."""
    amount = f"{100 * least:.1f} points" if least < 1 else "no difference"
    return f"{counted(seeds, 'seed')} tell {amount} apart"


def _price(points: int, spread: float, rows: int, minutes_a_run: float | None) -> str:
    needed = seeds_needed(points / 100, spread, rows)
    unit = "point" if points == 1 else "points"
    if needed is None:
        return f"{points} {unit}: more than {MOST_SEEDS:,} seeds"
    price = "" if not minutes_a_run else f", {needed * rows * minutes_a_run:,.0f} minutes"
    return f"{points} {unit}: {counted(needed, 'seed')}{price}"
