"""The order test: whether it matters in which order a curriculum shows its levels.

Every order sees each level for the same number of epochs (the strategy `order`), and all orders
share their seeds. What is left between them is order, and noise that the seeds measure. Scores are
fractions, and higher is better.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.files.disk import check_deliverable, delivering
from discl.harness.leaderboard.statistics import Estimate, paired

Order = tuple[int, ...]
Scores = Mapping[Order, Mapping[int, float]]  # order -> seed -> score
Table = NDArray[np.float64]

MOST_ORDERS = 720  # of six levels; more are sampled
LEAST_SEEDS = 2
SURE = 0.05  # below this a p-value is spoken of as a finding
POWER = 0.8  # of the spread that the test is said to notice
SAME = 1e-12  # scores nearer than this are tied: sums in another order differ by as much
CHUNK = 4_000_000  # numbers shuffled at once


# ---------------------------------------------------------------- what to run


def orders(levels: Sequence[int], how_many: int | Literal["all"], seed: int = 0) -> list[Order]:
    """All orders of `levels`, or so many of them: ascending, descending, then random ones, none
    twice.

    A larger number with the same seed begins with the orders of a smaller one, so that what was run
    is not run again.
    """
    ascending = tuple(sorted(levels))
    possible = _possible(ascending)
    if how_many == "all":
        if possible > MOST_ORDERS:
            raise UserError(
                f"{len(ascending)} levels have {possible:,} orders; take a number of them, e.g. 24"
            )
        return list(itertools.permutations(ascending))
    if isinstance(how_many, bool) or not isinstance(how_many, int):
        raise UserError(f'{how_many!r} orders: takes a whole number, or "all"')
    if not 2 <= how_many <= possible:
        raise UserError(
            f'{how_many} orders of {len(ascending)} levels: takes 2 to {possible:,}, or "all"'
        )
    rng = np.random.default_rng(seed)
    found = dict.fromkeys([ascending, ascending[::-1]])
    while len(found) < how_many:
        found[tuple(rng.permutation(ascending).tolist())] = None
    return list(found)


def check_equal_exposure(curriculum_epochs: int, levels: Sequence[int]) -> None:
    """Refuses a curriculum whose epochs cannot be dealt equally to the levels: then orders would
    differ in more than order.
    """
    share, rest = divmod(curriculum_epochs, len(levels))
    if curriculum_epochs > 0 and not rest:
        return
    ways = {k * len(levels): k for k in (share, share + 1) if k > 0}
    nearest = sorted(ways, key=lambda epochs: abs(epochs - curriculum_epochs))
    way_out = " or ".join(f"{epochs} ({ways[epochs]} a level)" for epochs in nearest)
    raise UserError(
        f"train.curriculum_epochs = {curriculum_epochs} cannot be dealt equally to {len(levels)}"
        f" levels {list(levels)}, so orders would differ in what they show, too; set it to"
        f" {way_out}, within train.epochs"
    )


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuses fewer seeds than tell order from noise."""
    if len(set(seeds)) < LEAST_SEEDS:
        raise UserError(
            f"an order test of seeds {sorted(set(seeds))} cannot tell order from noise; give"
            f" {LEAST_SEEDS} seeds or more"
        )


def _possible(levels: Order) -> int:
    if len(levels) < 2:
        raise UserError(
            f"levels = {list(levels)} have one order only; an order test needs 2 levels or more"
        )
    if len(set(levels)) < len(levels):
        raise UserError(f"levels = {list(levels)} repeat themselves; name each once")
    return math.factorial(len(levels))


# ---------------------------------------------------------------- what came out


class Ranked(NamedTuple):
    order: Order
    mean: float  # over seeds


@dataclass(frozen=True)
class Place:
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
class Variance:
    """Where the differences between runs come from: a two-way layout, orders by seeds, each pair
    once.

    The shares are of variance components (those of a balanced random-effects layout, below 0 set to
    0), not of sums of squares: of those, noise alone would give order 1/seeds of what it and the
    rest have together.
    """

    order: float  # share of the variance; the three add up to 1, or are all 0 where nothing varies
    seed: float
    rest: float  # what a seed does to one order and not to another
    p: float  # of the order, by shuffling scores within each seed
    smallest_p: (
        float  # that so few orders and seeds can give; shuffling all seeds alike changes nothing
    )
    spread: float  # standard deviation of the orders' means
    noise: float  # standard deviation that the rest alone would give them
    noticeable: (
        float  # true standard deviation between orders that an F test finds four times out of five
    )

    @property
    def order_beyond_seeds(self) -> float:
        """Share of order in what is left when the seeds' own variance is out."""
        return self.order / (self.order + self.rest) if self.order else 0.0


@dataclass(frozen=True)
class Trend:
    """Whether orders nearer to the paper's do better."""

    correlation: (
        float | None
        # Spearman's, of mean score and Kendall distance; below 0 = nearer is better; None = all alike
    )
    p: float  # two-sided, by shuffling the orders' means


@dataclass(frozen=True)
class Reading:
    """What an order test says. Differences are paired by seed."""

    paper: Order
    seeds: tuple[int, ...]
    possible: int  # orders that the levels have
    draws: int  # shuffles behind the p-values of `variance` and `trend`
    ranking: tuple[Ranked, ...]  # best first
    place: Place  # of the paper's order
    variance: Variance
    trend: Trend
    to_best: Estimate  # the paper's order minus the best one, which was picked for being best
    to_reverse: Estimate  # the paper's order minus its reverse

    @property
    def complete(self) -> bool:
        """Whether all orders were run."""
        return len(self.ranking) == self.possible

    @property
    def best(self) -> Ranked:
        return self.ranking[0]

    @property
    def worst(self) -> Ranked:
        return self.ranking[-1]


def read(scores: Scores, paper: Order, seed: int = 0, draws: int = 10_000) -> Reading:
    """What the scores say of `paper` among the orders, and of order at all.

    The same scores and `seed` give the same reading.
    """
    seeds = _checked(scores, paper)
    listed = sorted(scores)
    table = np.array([[scores[order][s] for s in seeds] for order in listed], dtype=np.float64)
    means: Table = table.mean(1)
    best_first = sorted(range(len(listed)), key=lambda i: (-means[i], listed[i]))
    ranking = tuple(Ranked(listed[i], float(means[i])) for i in best_first)
    away = np.array([distance(order, paper) for order in listed])
    rng = np.random.default_rng(seed)
    return Reading(
        paper=paper,
        seeds=seeds,
        possible=_possible(paper),
        draws=draws,
        ranking=ranking,
        place=_place(dict(ranking), paper),
        variance=_variance(table, rng, draws),
        trend=_trend(means, away, rng, draws),
        to_best=paired(dict(scores[paper]), dict(scores[ranking[0].order])),
        to_reverse=paired(dict(scores[paper]), dict(scores[paper[::-1]])),
    )


def distance(order: Order, other: Order) -> int:
    """Pairs of levels that stand the other way round (Kendall's tau distance): 0 for the same
    order, n(n-1)/2 for its reverse.
    """
    place = {level: i for i, level in enumerate(other)}
    return sum(place[first] > place[second] for first, second in itertools.combinations(order, 2))


def _checked(scores: Scores, paper: Order) -> tuple[int, ...]:
    """The seeds, which all orders must have."""
    _possible(paper)
    for order in scores:
        if sorted(order) != sorted(paper):
            raise UserError(
                f"the order {_named(order)} is none of the levels {_named(tuple(sorted(paper)))}"
            )
    seeds = tuple(sorted({seed for each in scores.values() for seed in each}))
    check_seeds(seeds)
    wanted = dict.fromkeys([paper, paper[::-1], *scores])
    missing = [
        f"order {_named(order)} seed {seed}"
        for order in wanted
        for seed in seeds
        if not _has(scores, order, seed)
    ]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise UserError(
            f"the order test lacks {'; '.join(missing[:3])}{more}; run it again: what is done costs"
            " nothing"
        )
    return seeds


def _has(scores: Scores, order: Order, seed: int) -> bool:
    return math.isfinite(scores.get(order, {}).get(seed, math.nan))


def _place(means: Mapping[Order, float], paper: Order) -> Place:
    own = means[paper]
    others = np.array([mean for order, mean in means.items() if order != paper])
    drawn = np.array([mean for order, mean in means.items() if order not in (paper, paper[::-1])])
    against = others if len(means) == math.factorial(len(paper)) else drawn
    return Place(
        rank=1 + int((others > own + SAME).sum()),
        as_good=float((others >= own - SAME).mean()),
        held_against=len(against),
        p_better=(1 + int((against >= own - SAME).sum())) / (1 + len(against)),
        p_worse=(1 + int((against <= own + SAME).sum())) / (1 + len(against)),
    )


def _variance(table: Table, rng: np.random.Generator, draws: int) -> Variance:
    """Of scores [orders, seeds]."""
    count, seeds = table.shape
    by_order = table.mean(1) - table.mean()
    by_seed = table.mean(0) - table.mean()
    rest = table - table.mean() - by_order[:, None] - by_seed[None, :]
    free = (count - 1) * (seeds - 1)
    noise = float((rest**2).sum()) / free
    parts = np.array(
        [
            max(0.0, float(by_order @ by_order) / (count - 1) - noise / seeds),
            max(0.0, float(by_seed @ by_seed) / (seeds - 1) - noise / count),
            noise,
        ]
    )
    parts[parts < SAME**2] = 0  # rounding, where nothing varies
    shares = parts / parts.sum() if parts.any() else parts
    return Variance(
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
    """How often scores shuffled within their seed spread the orders' means as far: if order is
    nothing, any is as likely.
    """
    centred = table - table.mean(0)
    count = len(centred)
    bar = float((centred.sum(1) ** 2).sum()) * (1 - 1e-9) - SAME**2
    as_far = 0
    for size in _chunks(draws, count):
        sums = np.zeros((size, count))
        for column in centred.T:
            sums += rng.permuted(np.broadcast_to(column, (size, count)), axis=1)
        as_far += int(((sums**2).sum(1) >= bar).sum())
    return (1 + as_far) / (1 + draws)


def _noticeable(deviation: float, count: int, seeds: int) -> float:
    """The deviation between orders that an F test at `SURE` finds with chance `POWER`, where a run
    has `deviation` besides.

    Orders that truly deviate by t make the ratio of mean squares that of an F distribution, times 1
    + seeds (t / deviation)^2.
    """
    from scipy.special import fdtri

    between = count - 1
    within = (count - 1) * (seeds - 1)
    factor = float(fdtri(between, within, 1 - SURE) / fdtri(between, within, 1 - POWER))
    return deviation * math.sqrt((factor - 1) / seeds)


def _trend(means: Table, away: NDArray[np.int64], rng: np.random.Generator, draws: int) -> Trend:
    from scipy.stats import rankdata  # here: it takes seconds to import

    ranks = [_unit(rankdata(column)) for column in (np.round(means, 12), away)]
    if not all(column.any() for column in ranks):
        return Trend(None, 1.0)
    found = float(ranks[0] @ ranks[1])
    as_strong = 0
    for size in _chunks(draws, len(means)):
        shuffled = rng.permuted(np.broadcast_to(ranks[0], (size, len(means))), axis=1) @ ranks[1]
        as_strong += int((np.abs(shuffled) >= abs(found) - 1e-9).sum())
    return Trend(found, (1 + as_strong) / (1 + draws))


def _chunks(draws: int, count: int) -> Iterator[int]:
    """How many of the draws to make at once, so that memory holds `count` numbers of each."""
    most = max(1, CHUNK // count)
    for begun in range(0, draws, most):
        yield min(most, draws - begun)


def _unit(column: Table) -> Table:
    """Centred, of length 1; all zero where nothing differs."""
    centred = column - column.mean()
    length = float(np.linalg.norm(centred))
    return np.asarray(centred / length) if length else np.asarray(centred)


# ---------------------------------------------------------------- what to conclude


def sentences(reading: Reading, metric: str) -> list[str]:
    """What a reader should conclude, and, last, what cannot be concluded."""
    count = len(reading.ranking)
    of = f"All {count}" if reading.complete else f"{count} of the {reading.possible:,}"
    return [
        (
            f"{of} orders of the levels {_named(tuple(sorted(reading.paper)))}, with"
            f" {len(reading.seeds)} seeds each, by {metric}."
        ),
        _placed(reading),
        _explained(reading.variance),
        _leaning(reading.trend),
        (
            f"Against its reverse the paper's order makes {_difference(reading.to_reverse)}."
            f" {_extremes(reading)}"
        ),
        _verdict(reading),
        (
            "What this cannot say: orders that truly deviate by less than"
            f" {_points(reading.variance.noticeable)} points would be missed more than one time in"
            " five, so a test without a finding is no proof that order is nothing. Where the"
            " learning rate falls, what comes last is learnt at the lowest, so order here is order"
            " under this schedule. The p-values are not corrected for there being several, and"
            " other data, networks, lengths of stages and amounts of synthesis may say otherwise."
        ),
    ]


def _placed(reading: Reading) -> str:
    place = reading.place
    own = next(mean for order, mean in reading.ranking if order == reading.paper)
    against = f"{place.held_against} {'others' if reading.complete else 'drawn at random'}"
    return (
        f"The paper's order ({_named(reading.paper)}) is {_nth(place.rank)} of"
        f" {len(reading.ranking)} with {_percent(own)}: {_percent(place.as_good, 0)} of the others"
        f" do at least as well. Held against the {against}, an order picked by chance does as well"
        f" with {_p(place.p_better)} (two-sided {_p(place.p_two_sided)}); no p below"
        f" {place.smallest_p:.2g} can come of so many."
    )


def _explained(variance: Variance) -> str:
    too_few = (
        f"; no p below {variance.smallest_p:.2g} can come of so few runs"
        if variance.smallest_p >= SURE
        else ""
    )
    return (
        f"Order explains {_percent(variance.order_beyond_seeds, 0)} of the variance beyond seeds"
        f" ({_p(variance.p)}{too_few}): the orders' means deviate by {_points(variance.spread)}"
        f" points, and noise alone would make it {_points(variance.noise)}."
    )


def _leaning(trend: Trend) -> str:
    if trend.correlation is None:
        return "All orders score alike."
    better = "better" if trend.correlation < 0 else "worse"
    said = (
        f"orders nearer to the paper's do {better}"
        if trend.p < SURE
        else "no trend that chance would not give"
    )
    return (
        f"Score and distance from the paper's order: Spearman {trend.correlation:+.2f}"
        f" ({_p(trend.p)}), {said}."
    )


def _extremes(reading: Reading) -> str:
    worst = f"The worst ({_named(reading.worst.order)}) has {_percent(reading.worst.mean)}."
    if reading.place.rank == 1:
        return f"No order does better. {worst}"
    return (
        f"The best order ({_named(reading.best.order)}, {_percent(reading.best.mean)}) was picked"
        " for being best, which flatters its lead: the paper's makes"
        f" {_difference(reading.to_best)} against it. {worst}"
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


def _verdict(reading: Reading) -> str:
    standing = _standing(reading.place)
    if reading.variance.p < SURE:
        return _MATTERS[standing]
    if reading.trend.p < SURE:
        return (
            "Only the trend hints that order matters, and the orders differ by no more than noise:"
            " run more seeds before believing it."
        )
    return _NOISE[standing]


def _standing(place: Place) -> Standing:
    """That its order is better is the paper's claim, so one side will do; that it is worse is
    nobody's, so it takes two.
    """
    if place.p_better < SURE:
        return "above"
    return "below" if place.p_two_sided < SURE else "amid"


def _named(order: Order) -> str:
    return ", ".join(map(str, order))


def _percent(fraction: float, digits: int = 1) -> str:
    return f"{100 * fraction:.{digits}f} %"


def _points(fraction: float) -> str:
    return f"{100 * fraction:.2f}"


def _difference(difference: Estimate) -> str:
    low, high = (
        100 * (difference.mean + sign * (difference.half_width or 0.0)) for sign in (-1, 1)
    )
    tie = "" if difference.excludes_zero() else ", so a tie"
    return f"{100 * difference.mean:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}{tie})"


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _nth(rank: int) -> str:
    ending = (
        "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    )
    return f"{rank}{ending}"


# ---------------------------------------------------------------- the figure


def check_drawing(path: Path) -> None:
    """Raise now what `draw` would raise after long work."""
    if path.suffix.lower() not in (".png", ".svg"):
        raise UserError(f"{str(path)!r}: the figure is saved as .png or .svg")
    _canvas()
    check_deliverable(path)


def draw(reading: Reading, path: Path, metric: str) -> Path:
    """A histogram of the orders' means with the paper's marked, beside what noise alone would give;
    PNG or SVG by the file's ending.
    """
    check_drawing(path)
    from matplotlib import rc_context

    # no random ids and no date: the same reading gives the same file
    with (
        rc_context({"font.size": 8, "svg.fonttype": "none", "svg.hashsalt": "discl"}),
        delivering(path) as half,
    ):
        figure = _drawn(_canvas()(figsize=(3.5, 2.6), layout="constrained"), reading, metric)
        kind = path.suffix.lower().removeprefix(".")
        figure.savefig(
            half, format=kind, dpi=300, metadata={"Date": None} if kind == "svg" else None
        )
    return path


def _canvas() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("matplotlib is not installed; pip install 'discl[plots]'") from error
    return Figure


def _drawn(figure: Any, reading: Reading, metric: str) -> Any:
    means = 100 * np.array([ranked.mean for ranked in reading.ranking])
    at = {ranked.order: 100 * ranked.mean for ranked in reading.ranking}
    axes = figure.subplots()
    _, edges, _ = axes.hist(means, bins="rice", color="0.78", edgecolor="white", label="orders")
    axes.plot(
        means,
        np.full(len(means), 0.025),
        "|",
        color="0.25",
        markersize=5,
        transform=axes.get_xaxis_transform(),
    )
    noise = 100 * reading.variance.noise
    if noise:
        across = np.linspace(
            min(edges[0], means.mean() - 3 * noise), max(edges[-1], means.mean() + 3 * noise), 200
        )
        bell = np.exp(-0.5 * ((across - means.mean()) / noise) ** 2) / (
            noise * math.sqrt(2 * math.pi)
        )
        axes.plot(
            across,
            bell * len(means) * (edges[1] - edges[0]),
            color="0.35",
            linewidth=1,
            linestyle=":",
            label="noise of seeds alone",
        )
    axes.axvline(at[reading.paper], color="black", linewidth=1.8, label="the paper's order")
    axes.axvline(
        at[reading.paper[::-1]], color="black", linewidth=1.2, linestyle="--", label="its reverse"
    )
    axes.set_xlabel(f"{metric}, mean of {len(reading.seeds)} seeds (%)")
    axes.set_ylabel("orders (count)")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=7)
    return figure
