"""Differences of all pairs of rows with intervals that hold together, and places by them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from discl.harness.leaderboard.statistics import Estimate
from discl.harness.leaderboard.studentized_range import fisher_beyond, upper_quantile

Values = np.ndarray[Any, np.dtype[np.float64]]
FEW_SEEDS = 5  # below it the floor of spreads is stricter, and seeds are not looked for in common
SEEDS_MATTER = 0.01  # p below which the seeds' own effect is taken out


@dataclass(frozen=True)
class AllPairs:
    """Differences [k, k], row minus column, and half the widths of their simultaneous intervals.

    Without an interval (fewer than two seeds in common, or nothing that varies) the width is
    infinite.
    """

    names: tuple[str, ...]
    difference: Values
    half_width: Values
    seeds: Values  # in common

    def between(self, name: str, other: str) -> Estimate:
        """`name` minus `other`."""
        at = self.names.index(name), self.names.index(other)
        width = float(self.half_width[at])
        return Estimate(
            float(self.difference[at]), width if math.isfinite(width) else None, int(self.seeds[at])
        )

    def places(self, lower_is_better: bool = False) -> dict[str, tuple[int, int]]:
        """Best and worst place of each row; another is ahead where the interval excludes zero."""
        sign = -1 if lower_is_better else 1
        ahead = (np.abs(self.difference) > self.half_width) & (sign * self.difference > 0)
        count = len(self.names)
        return {
            name: (1 + int(ahead[:, at].sum()), count - int(ahead[at].sum()))
            for at, name in enumerate(self.names)
        }


def all_pairs(strategies: Mapping[str, Mapping[int, float]]) -> AllPairs:
    """All pairs of rows (name -> seed -> value); values that are not finite are left out.

    Games and Howell's intervals (1976): each row has a spread of its own, and the quantile is that
    of the studentized range over all rows, so that all differences hold together in 95 %. No
    spread is below the rows' mean one (`_floor`): few seeds of one row may lie close by chance,
    above all where a metric has two humps or many zeros. Where the seeds move all rows alike, that
    is taken out of the spreads first.
    """
    names = tuple(strategies)
    seeds = sorted({seed for by_seed in strategies.values() for seed in by_seed})
    table = np.array(
        [[by_seed.get(seed, math.nan) for seed in seeds] for by_seed in strategies.values()],
        np.float64,
    ).reshape(len(names), len(seeds))
    known = np.isfinite(table)
    sums = np.where(known, table, 0.0) @ known.T.astype(np.float64)
    common = known.astype(np.float64) @ known.T
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.where(common > 0, (sums - sums.T) / common, np.nan)
    return AllPairs(names, difference, _half_widths(table, known, common), common)


def places(
    strategies: Mapping[str, Mapping[int, float]], lower_is_better: bool = False
) -> dict[str, tuple[int, int]]:
    """Best and worst place each strategy (name -> seed -> value) may have, all together in 95 %."""
    return all_pairs(strategies).places(lower_is_better)


def _half_widths(table: Values, known: Any, common: Values) -> Values:
    """Half widths [k, k] of values [k, n]; infinite where there is no interval."""
    counts = known.sum(1)
    several = counts > 1
    widths = np.full(common.shape, np.inf)
    if several.sum() < 2:
        return widths
    variances = np.zeros(len(table))
    for row in np.flatnonzero(several):
        variances[row] = np.var(table[row, known[row]], ddof=1)
    scale = float(np.abs(table[known]).max())
    variances[variances < (1e-9 * scale) ** 2] = 0.0  # rounding
    if known.all() and len(table) > 2 and table.shape[1] >= FEW_SEEDS:
        variances = _without_seeds(table, variances)
    variances = np.maximum(variances, _floor(variances[several], int(counts[several].min())))
    freedom = np.maximum(counts - 1.0, 1.0)
    both = variances[:, None] + variances
    parts = variances**2 / freedom
    with np.errstate(divide="ignore", invalid="ignore"):
        together = np.where(both > 0, both**2 / (parts[:, None] + parts), 1.0)  # Welch 1947
        found = upper_quantile(int(several.sum()), together) * np.sqrt(both / common / 2)
    usable = several[:, None] & several & (common > 1) & (both > 0)
    np.fill_diagonal(usable, val=False)
    widths[usable] = found[usable]
    return widths


def _floor(variances: Values, seeds: int) -> float:
    """The least variance of a row: the square of the mean spread.

    With fewer than five seeds the mean variance, which is larger, and nothing below it is believed.
    """
    if seeds < FEW_SEEDS:
        return float(variances.mean())
    return float(np.sqrt(variances).mean() ** 2)


def _without_seeds(table: Values, variances: Values) -> Values:
    """Variances [k] of rows without what a seed does to all of them, where that is not chance.

    Those of a two-way layout with a variance for each row (Shukla 1972); as they were where the
    seeds do nothing alike, or everything.
    """
    rows, seeds = table.shape
    by_seed = table.mean(0) - table.mean()
    rest = table - table.mean(1, keepdims=True) - by_seed
    free = seeds - 1
    noise = float((rest**2).sum()) / ((rows - 1) * free)
    if noise <= 1e-12 * float(variances.mean()):
        return variances
    ratio = rows * float(by_seed @ by_seed) / free / noise
    if fisher_beyond(free, (rows - 1) * free, ratio) >= SEEDS_MATTER:
        return variances
    own = (rest**2).sum(1) / free
    return np.asarray(np.maximum(0.0, (own - noise / rows) / (1 - 2 / rows)))


class PairsOfBoard:
    """The pairs of one column: complete rows among themselves, and others among all rows.

    So a row that lacks seeds changes nothing between those that lack none.
    """

    def __init__(
        self, strategies: Mapping[str, Mapping[int, float]], complete: Collection[str]
    ) -> None:
        """`strategies` is name -> seed -> value, of every row."""
        measured = {name: by_seed for name, by_seed in strategies.items() if by_seed}
        self.complete = all_pairs({name: measured[name] for name in measured if name in complete})
        whole = len(self.complete.names) == len(strategies)
        self.every = self.complete if whole else all_pairs(strategies)

    def between(self, name: str, other: str) -> Estimate:
        """`name` minus `other`, with its simultaneous interval."""
        known = self.complete.names
        pairs = self.complete if name in known and other in known else self.every
        return pairs.between(name, other)
