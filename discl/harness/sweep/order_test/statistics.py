"""The order test: whether it matters in which order a curriculum shows its levels.

Every order sees each level for the same number of epochs (the strategy `order`), and all orders
share their seeds. What is left between them is order, and noise that the seeds measure. Scores are
fractions, and higher is better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.harness.leaderboard.statistics import Estimate, paired
from discl.harness.sweep.order_test.orders import Order, check_seeds, distance, possible_orders

Scores = Mapping[Order, Mapping[int, float]]  # order -> seed -> score
Table = NDArray[np.float64]

SIGNIFICANT = 0.05  # below this a p-value is called a finding
POWER = 0.8  # with which the test finds the deviation it calls noticeable
TIED = 1e-12  # scores nearer than this are tied: sums in another order differ by as much
MOST_NUMBERS = 4_000_000  # shuffled at once


class RankedOrder(NamedTuple):
    """An order and its score."""

    order: Order
    mean: float  # over seeds


@dataclass(frozen=True)
class OrderRank:
    """Where one order lies among the others.

    Where all orders were run, the p-values are exact: the share of orders that do as well, itself
    included. Where some were drawn, it is held against those drawn at random alone, as (1 + as
    good) / (1 + drawn) (Phipson & Smyth 2010); its reverse was put there on purpose.
    """

    rank: int  # 1 = best; ties count as one rank
    as_good: float  # share of the other orders that do at least as well
    held_against: int  # orders that the p-values count, itself not among them
    p_better: float  # how often an order picked at random does as well
    p_worse: float  # how often as badly

    @property
    def p_two_sided(self) -> float:
        return min(1.0, 2 * min(self.p_better, self.p_worse))

    @property
    def smallest_p(self) -> float:
        """The one-sided p-value of an order better than all others."""
        return 1 / (1 + self.held_against)


@dataclass(frozen=True)
class VarianceShares:
    """Where the differences between runs come from: orders by seeds, each pair once.

    The shares are of variance components (those of a balanced random-effects layout, below 0 set to
    0), not of sums of squares: of those, noise would already give order 1/seeds of what it and the
    rest have together.
    """

    order: float  # share of the variance; the three add up to 1, or are all 0 where nothing varies
    seed: float
    rest: float  # what a seed does to one order and not to another
    p: float  # of the order, by shuffling scores within each seed
    # that so few orders and seeds can give; shuffling all seeds alike changes nothing
    smallest_p: float
    spread: float  # standard deviation of the orders' means
    noise: float  # standard deviation that the rest alone would give them
    # true standard deviation between orders that an F test finds four times out of five
    noticeable: float

    @property
    def order_beyond_seeds(self) -> float:
        """Share of order in what is left when the seeds' own variance is out."""
        return self.order / (self.order + self.rest) if self.order else 0.0


@dataclass(frozen=True)
class DistanceTrend:
    """Whether orders nearer to the paper's do better."""

    # Spearman's, of mean score and Kendall distance; below 0 = nearer is better; None = all alike
    correlation: float | None
    p: float  # two-sided, by shuffling the orders' means


@dataclass(frozen=True)
class OrderTestResult:
    """The result of an order test.

    Differences are paired by seed, and the interval of each stands alone.
    """

    paper: Order
    seeds: tuple[int, ...]
    possible: int  # orders that the levels have
    draws: int  # shuffles behind the p-values of `variance` and `trend`
    ranking: tuple[RankedOrder, ...]  # best first
    paper_rank: OrderRank
    variance: VarianceShares
    trend: DistanceTrend
    to_best: Estimate  # the paper's order minus the best one, which was picked for being best
    to_reverse: Estimate  # the paper's order minus its reverse

    @property
    def complete(self) -> bool:
        """Whether all orders were run."""
        return len(self.ranking) == self.possible

    @property
    def best(self) -> RankedOrder:
        return self.ranking[0]

    @property
    def worst(self) -> RankedOrder:
        return self.ranking[-1]


def analyse(scores: Scores, paper: Order, seed: int = 0, draws: int = 10_000) -> OrderTestResult:
    """Test `paper` among the orders, and whether order matters at all.

    The same scores and `seed` give the same result. Raises UserError where an order lacks a seed,
    or has other levels than the paper's.
    """
    seeds = _checked_seeds(scores, paper)
    listed = sorted(scores)
    table = np.array([[scores[order][s] for s in seeds] for order in listed], dtype=np.float64)
    means: Table = table.mean(1)
    best_first = sorted(range(len(listed)), key=lambda i: (-means[i], listed[i]))
    ranking = tuple(RankedOrder(listed[i], float(means[i])) for i in best_first)
    distances = np.array([distance(order, paper) for order in listed])
    rng = np.random.default_rng(seed)
    return OrderTestResult(
        paper=paper,
        seeds=seeds,
        possible=possible_orders(paper),
        draws=draws,
        ranking=ranking,
        paper_rank=_rank(dict(ranking), paper),
        variance=_variance(table, rng, draws),
        trend=_trend(means, distances, rng, draws),
        to_best=paired(dict(scores[paper]), dict(scores[ranking[0].order])),
        to_reverse=paired(dict(scores[paper]), dict(scores[paper[::-1]])),
    )


def _checked_seeds(scores: Scores, paper: Order) -> tuple[int, ...]:
    """The seeds, which all orders must have; raises UserError where one lacks some."""
    possible_orders(paper)
    for order in scores:
        if sorted(order) != sorted(paper):
            raise UserError(
                f"the order {_words(order)} is none of the levels {_words(sorted(paper))}"
            )
    seeds = tuple(sorted({seed for by_seed in scores.values() for seed in by_seed}))
    check_seeds(seeds)
    missing = [
        f"order {_words(order)} seed {seed}"
        for order in dict.fromkeys([paper, paper[::-1], *scores])
        for seed in seeds
        if not math.isfinite(scores.get(order, {}).get(seed, math.nan))
    ]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UserError(
            f"the order test lacks {'; '.join(missing[:3])}{more}; run it again: what is done costs"
            " nothing"
        )
    return seeds


def _words(order: Sequence[int]) -> str:
    return ", ".join(map(str, order))


def _rank(means: Mapping[Order, float], paper: Order) -> OrderRank:
    own = means[paper]
    others = np.array([mean for order, mean in means.items() if order != paper])
    drawn = np.array([mean for order, mean in means.items() if order not in (paper, paper[::-1])])
    against = others if len(means) == math.factorial(len(paper)) else drawn
    return OrderRank(
        rank=1 + int((others > own + TIED).sum()),
        as_good=float((others >= own - TIED).mean()),
        held_against=len(against),
        p_better=(1 + int((against >= own - TIED).sum())) / (1 + len(against)),
        p_worse=(1 + int((against <= own + TIED).sum())) / (1 + len(against)),
    )


def _variance(table: Table, rng: np.random.Generator, draws: int) -> VarianceShares:
    """Variance components of scores [orders, seeds]."""
    count, seeds = table.shape
    by_order = table.mean(1) - table.mean()
    by_seed = table.mean(0) - table.mean()
    rest = table - table.mean() - by_order[:, None] - by_seed[None, :]
    free = (count - 1) * (seeds - 1)
    noise = float((rest**2).sum()) / free
    components = np.array(
        [
            max(0.0, float(by_order @ by_order) / (count - 1) - noise / seeds),
            max(0.0, float(by_seed @ by_seed) / (seeds - 1) - noise / count),
            noise,
        ]
    )
    components[components < TIED**2] = 0  # rounding, where nothing varies
    shares = components / components.sum() if components.any() else components
    return VarianceShares(
        order=float(shares[0]),
        seed=float(shares[1]),
        rest=float(shares[2]),
        p=_p_of_order(table, rng, draws),
        smallest_p=max(1 / (1 + draws), 1 / math.factorial(count) ** (seeds - 1)),
        spread=float(by_order.std(ddof=1)),
        noise=math.sqrt(noise / seeds),
        noticeable=_noticeable(math.sqrt(noise), count, seeds),
    )


def _p_of_order(table: Table, rng: np.random.Generator, draws: int) -> float:
    """How often scores [orders, seeds] shuffled within their seed spread the means as far.

    If order is nothing, any shuffle is as likely.
    """
    centred = table - table.mean(0)
    count = len(centred)
    threshold = float((centred.sum(1) ** 2).sum()) * (1 - 1e-9) - TIED**2
    as_far = 0
    for size in _chunks(draws, count):
        sums = np.zeros((size, count))
        for column in centred.T:
            sums += rng.permuted(np.broadcast_to(column, (size, count)), axis=1)
        as_far += int(((sums**2).sum(1) >= threshold).sum())
    return (1 + as_far) / (1 + draws)


def _noticeable(deviation: float, count: int, seeds: int) -> float:
    """The deviation between orders that an F test at `SIGNIFICANT` finds with chance `POWER`.

    `deviation` is that of a run besides. Orders that truly deviate by t make the ratio of mean
    squares that of an F distribution, times 1 + seeds (t / deviation)^2.
    """
    from scipy.special import fdtri

    between = count - 1
    within = (count - 1) * (seeds - 1)
    factor = float(fdtri(between, within, 1 - SIGNIFICANT) / fdtri(between, within, 1 - POWER))
    return deviation * math.sqrt((factor - 1) / seeds)


def _trend(
    means: Table, distances: NDArray[np.int64], rng: np.random.Generator, draws: int
) -> DistanceTrend:
    """Rank correlation of means [orders] and distances [orders] from the paper's order."""
    from scipy.stats import rankdata  # here: it takes seconds to import

    ranks = [_unit(rankdata(column)) for column in (np.round(means, 12), distances)]
    if not all(column.any() for column in ranks):
        return DistanceTrend(None, 1.0)
    correlation = float(ranks[0] @ ranks[1])
    as_strong = 0
    for size in _chunks(draws, len(means)):
        shuffled = rng.permuted(np.broadcast_to(ranks[0], (size, len(means))), axis=1) @ ranks[1]
        as_strong += int((np.abs(shuffled) >= abs(correlation) - 1e-9).sum())
    return DistanceTrend(correlation, (1 + as_strong) / (1 + draws))


def _chunks(draws: int, count: int) -> Iterator[int]:
    """How many of the draws to make at once, so that memory holds `count` numbers of each."""
    most = max(1, MOST_NUMBERS // count)
    for begin in range(0, draws, most):
        yield min(most, draws - begin)


def _unit(column: Table) -> Table:
    """A column [n] centred, of length 1; all zero where nothing differs."""
    centred = column - column.mean()
    length = float(np.linalg.norm(centred))
    return np.asarray(centred / length) if length else np.asarray(centred)
