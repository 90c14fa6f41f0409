"""Power: the difference that some seeds tell apart, and the seeds that a difference takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from discl.harness.leaderboard.studentized_range import upper_quantile

POWER = 0.8  # a true difference of this size is told apart four times out of five
MOST_SEEDS = 2_000
# standard deviation over seeds where no run is stored: that of `few` in the published cifar10_lt
STATED_SPREAD = 0.04


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
    from scipy.special import stdtrit

    freedom = 2.0 * (seeds - 1)
    quantile = float(upper_quantile(max(2, rows), np.array(freedom))) / math.sqrt(2)
    return (quantile + float(stdtrit(freedom, POWER))) * spread * math.sqrt(2 / seeds)


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
