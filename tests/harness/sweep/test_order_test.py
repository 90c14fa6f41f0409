import itertools
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from discl.core.errors import UserError
from discl.harness.sweep.order_test.figure import draw
from discl.harness.sweep.order_test.orders import (
    Order,
    check_equal_exposure,
    check_seeds,
    distance,
    orders,
)
from discl.harness.sweep.order_test.sentences import sentences
from discl.harness.sweep.order_test.statistics import DistanceTrend, OrderTestResult, analyse

ASCENDING: Order = (0, 50, 100)
FOUR: Order = (0, 30, 70, 100)
FIVE: Order = (0, 30, 50, 70, 100)


def _scores(
    listed: list[Order],
    seeds: int,
    rng: np.random.Generator,
    effect: Callable[[Order], float] = lambda order: 0.0,
) -> dict[Order, dict[int, float]]:
    """Scores around 40 %, where a seed deviates by 2 points, a run by 1 besides, and an order by
    `effect`.
    """
    shared = rng.normal(0, 0.02, seeds)
    own = {order: effect(order) for order in listed}
    return {
        order: {s: 0.4 + own[order] + shared[s] + rng.normal(0, 0.01) for s in range(seeds)}
        for order in listed
    }


# ---------------------------------------------------------------- what to run


def test_all_orders_are_all_permutations() -> None:
    assert orders([100, 0, 50], "all") == [
        (0, 50, 100),
        (0, 100, 50),
        (50, 0, 100),
        (50, 100, 0),
        (100, 0, 50),
        (100, 50, 0),
    ]


def test_some_orders_begin_with_the_papers_and_its_reverse_and_never_repeat() -> None:
    some = orders([100, 30, 0, 50, 70], 24, seed=3)
    assert some[:2] == [FIVE, FIVE[::-1]]
    assert len(set(some)) == 24
    assert all(sorted(order) == list(FIVE) for order in some)
    assert set(orders(ASCENDING, 6)) == set(orders(ASCENDING, "all"))


def test_orders_depend_on_the_seed_alone_and_more_of_them_begin_with_the_fewer() -> None:
    assert orders(FIVE, 24, seed=3)[:10] == orders(FIVE, 10, seed=3)
    assert orders(FIVE, 24, seed=3) != orders(FIVE, 24, seed=4)


@pytest.mark.parametrize(
    ("levels", "how_many", "says"),
    [
        (FIVE, 1, '1 orders of 5 levels: takes 2 to 120, or "all"'),
        (ASCENDING, 7, "7 orders of 3 levels: takes 2 to 6"),
        (range(0, 70, 10), "all", "7 levels have 5,040 orders; take a number of them, e.g. 24"),
        (FIVE, True, "True orders: takes a whole number"),
        (FIVE, "some", "'some' orders: takes a whole number"),
        ([50], "all", r"levels = \[50\] have one order only"),
        ([0, 50, 50], 3, "repeat themselves"),
    ],
)
def test_orders_that_cannot_be_had_are_refused(
    levels: list[int], how_many: object, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        orders(levels, how_many)  # type: ignore[arg-type]


def test_unequal_exposure_is_refused_with_the_nearest_way_out() -> None:
    check_equal_exposure(60, FIVE)
    with pytest.raises(
        UserError,
        match=(
            r"= 23 cannot be dealt equally to 4 levels \[0, 30, 70, 100\].* set it to 24 \(6 a"
            r" level\) or 20 \(5"
        ),
    ):
        check_equal_exposure(23, FOUR)
    with pytest.raises(UserError, match=r"set it to 5 \(1 a level\), within train.epochs$"):
        check_equal_exposure(2, FIVE)
    with pytest.raises(UserError, match=r"set it to 5 \(1 a level\)"):
        check_equal_exposure(0, FIVE)


def test_one_seed_is_no_order_test() -> None:
    check_seeds([0, 7])
    with pytest.raises(
        UserError, match=r"seeds \[3\] cannot tell order from noise; give 2 seeds or more"
    ):
        check_seeds([3, 3])


# ---------------------------------------------------------------- numbers counted by hand


@pytest.fixture(scope="module")
def additive() -> OrderTestResult:
    """Six orders score 10, 20, .. 60 %, and the second seed 10 points more: no noise at all.

    The paper's is second best.
    """
    base = dict(zip(orders(ASCENDING, "all"), (0.5, 0.6, 0.4, 0.3, 0.2, 0.1), strict=True))
    return analyse({order: {0: score, 1: score + 0.1} for order, score in base.items()}, ASCENDING)


def test_the_place_of_the_papers_order_is_exact_where_all_orders_were_run(
    additive: OrderTestResult,
) -> None:
    place = additive.paper_rank
    assert (place.rank, place.held_against, place.as_good) == (2, 5, 1 / 5)
    assert place.p_better == pytest.approx(2 / 6)
    assert place.p_worse == pytest.approx(5 / 6)
    assert place.p_two_sided == pytest.approx(4 / 6)
    assert place.smallest_p == pytest.approx(1 / 6)
    assert additive.complete
    assert additive.best == ((0, 100, 50), pytest.approx(0.65))
    assert additive.worst == ((100, 50, 0), pytest.approx(0.15))


def test_variance_goes_to_order_seed_and_rest(additive: OrderTestResult) -> None:
    variance = additive.variance
    assert (variance.order, variance.seed, variance.rest) == pytest.approx(
        (0.035 / 0.04, 0.005 / 0.04, 0)
    )
    assert variance.spread == pytest.approx(math.sqrt(0.035))
    assert variance.noise == pytest.approx(0)
    assert variance.order_beyond_seeds == pytest.approx(1)
    assert variance.p == pytest.approx(
        1 / 720, abs=0.0012
    )  # of all 6! ways to match the seeds, only this one
    assert variance.smallest_p == pytest.approx(1 / 720)


def test_noise_is_not_taken_for_order() -> None:
    variance = analyse({(0, 50): {0: 0.4, 1: 0.8}, (50, 0): {0: 0.5, 1: 0.7}}, (0, 50)).variance
    assert (variance.order, variance.seed, variance.rest) == pytest.approx((0, 0.8, 0.2))
    assert variance.noise == pytest.approx(0.1 / math.sqrt(2))
    assert variance.p == 1
    assert variance.smallest_p == 1 / 2


def test_differences_are_paired_by_seed(additive: OrderTestResult) -> None:
    assert additive.to_best == (pytest.approx(-0.1), None, 2)
    assert additive.to_reverse == (pytest.approx(0.4), None, 2)


def test_the_distance_counts_pairs_the_other_way_round() -> None:
    assert [distance(order, ASCENDING) for order in orders(ASCENDING, "all")] == [0, 1, 1, 2, 2, 3]
    for order in orders(FIVE, 30):
        assert distance(order, FIVE) == pytest.approx(
            10 * (1 - stats.kendalltau(order, FIVE).statistic) / 2
        )


def test_orders_that_all_score_alike_are_no_finding() -> None:
    reading = analyse(
        {order: {0: 0.1 + 0.2, 1: 0.3} for order in orders(ASCENDING, "all")}, ASCENDING
    )
    assert (
        reading.paper_rank.rank,
        reading.paper_rank.p_better,
        reading.variance.p,
        reading.trend,
    ) == (
        1,
        1,
        1,
        DistanceTrend(None, 1),
    )
    assert (reading.variance.order, reading.variance.seed, reading.variance.rest) == (0, 0, 0)
    assert "All orders score alike." in sentences(reading, "val/macro_acc")


# ---------------------------------------------------------------- against other ways to count


def test_where_orders_were_drawn_the_paper_is_held_against_those_alone() -> None:
    """Two of the three random ones do as well; the reverse, put there on purpose, does better and
    does not count.
    """
    listed = orders(FIVE, 5)
    reading = analyse(
        {
            order: dict.fromkeys((0, 1), score)
            for order, score in zip(listed, (0.5, 0.9, 0.5, 0.6, 0.4), strict=True)
        },
        FIVE,
    )
    assert (
        reading.paper_rank.rank,
        reading.paper_rank.held_against,
        reading.paper_rank.as_good,
    ) == (3, 3, 3 / 4)
    assert (
        reading.paper_rank.p_better,
        reading.paper_rank.p_worse,
        reading.paper_rank.smallest_p,
    ) == pytest.approx((3 / 4, 3 / 4, 1 / 4))
    assert not reading.complete


def test_the_p_of_order_is_the_share_of_shuffles_within_seeds_that_spread_as_far() -> None:
    scores = _scores(orders(FOUR, 4), 3, np.random.default_rng(5))
    columns = [[scores[order][seed] for order in scores] for seed in range(3)]
    ways = itertools.product(
        [columns[0]], *(itertools.permutations(column) for column in columns[1:])
    )
    spreads = np.array([np.var(np.sum(way, axis=0)) for way in ways])
    assert analyse(scores, FOUR).variance.p == pytest.approx(
        (spreads >= np.var(np.sum(columns, axis=0)) * (1 - 1e-9)).mean(), abs=0.02
    )


@pytest.mark.parametrize("size", [0.0, 0.006])
def test_of_ranks_the_p_of_order_is_friedmans(size: float) -> None:
    listed = orders(FIVE, 24)
    raw = _scores(listed, 5, np.random.default_rng(2), lambda order: size * order[0] / 100)
    ranks = np.array(
        [stats.rankdata([raw[order][seed] for order in listed]) for seed in range(5)]
    )  # [seeds, orders]
    scores = {
        order: {seed: float(ranks[seed, i]) for seed in range(5)} for i, order in enumerate(listed)
    }
    assert analyse(scores, FIVE).variance.p == pytest.approx(
        stats.friedmanchisquare(*ranks.T).pvalue, abs=0.03
    )


def test_the_trend_is_spearmans_and_its_p_that_of_all_shuffles() -> None:
    scores = _scores(
        orders(ASCENDING, "all"),
        2,
        np.random.default_rng(4),
        lambda order: -0.01 * distance(order, ASCENDING),
    )
    reading = analyse(scores, ASCENDING)
    means = [np.mean(list(each.values())) for each in scores.values()]
    away = [distance(order, ASCENDING) for order in scores]
    found = stats.spearmanr(means, away).statistic
    shuffles = np.array(
        [stats.spearmanr(way, away).statistic for way in itertools.permutations(means)]
    )
    assert reading.trend.correlation == pytest.approx(found)
    assert reading.trend.p == pytest.approx(
        (np.abs(shuffles) >= abs(found) - 1e-9).mean(), abs=0.02
    )


def test_pure_noise_is_called_a_finding_in_five_of_a_hundred_tests() -> None:
    rng, listed = np.random.default_rng(0), orders(FIVE, 24)
    readings = [analyse(_scores(listed, 3, rng), FIVE, draws=499) for _ in range(200)]
    low, high = stats.binom.interval(0.999, 200, 0.05)
    for name, found in (
        ("order", [reading.variance.p for reading in readings]),
        ("trend", [reading.trend.p for reading in readings]),
        ("place", [reading.paper_rank.p_better for reading in readings]),
    ):
        assert low <= sum(p < 0.05 for p in found) <= high, name
    # a third, were it the share of sums of squares
    assert np.mean([reading.variance.order_beyond_seeds for reading in readings]) < 0.1


def test_an_effect_of_the_size_said_to_be_noticeable_is_found_four_times_out_of_five() -> None:
    rng, listed = np.random.default_rng(1), orders(FIVE, 24)
    variance = analyse(_scores(listed, 3, rng), FIVE, draws=1).variance
    size = (
        0.01 * variance.noticeable / (variance.noise * math.sqrt(3))
    )  # where a run deviates by exactly one point
    found = [
        analyse(
            _scores(listed, 3, rng, lambda order: rng.normal(0, size)), FIVE, draws=499
        ).variance.p
        < 0.05
        for _ in range(200)
    ]
    low, high = stats.binom.interval(0.999, 200, 0.8)
    assert low <= sum(found) <= high


def test_a_planted_trend_is_found_and_the_papers_order_with_it() -> None:
    rng, listed = np.random.default_rng(7), orders(FIVE, 40)
    reading = analyse(_scores(listed, 3, rng, lambda order: -0.006 * distance(order, FIVE)), FIVE)
    assert reading.variance.p < 0.001
    assert reading.trend.p < 0.001
    assert reading.trend.correlation is not None
    assert reading.trend.correlation < -0.7
    assert reading.paper_rank.p_better < 0.05
    assert reading.to_reverse.mean > 0.03
    assert "Order matters here, and the paper's is better than one picked at random." in sentences(
        reading, "val/macro_acc"
    )


def test_an_effect_that_has_nothing_to_do_with_the_papers_order_is_found_as_such() -> None:
    rng, listed = np.random.default_rng(8), orders(FIVE, "all")
    reading = analyse(_scores(listed, 3, rng, lambda order: 0.02 * (order[2] == 50)), FIVE)
    assert reading.variance.p < 0.001
    assert reading.variance.order_beyond_seeds == pytest.approx(
        0.4, abs=0.15
    )  # 0.02^2 * 0.2 * 0.8 against 0.01^2
    assert reading.trend.p > 0.05


def test_the_same_scores_give_the_same_reading_in_any_order_of_theirs() -> None:
    scores = _scores(orders(FIVE, 12), 3, np.random.default_rng(3))
    backwards = {order: dict(reversed(scores[order].items())) for order in reversed(scores)}
    assert analyse(scores, FIVE) == analyse(backwards, FIVE)


def test_a_reading_can_be_kept_as_json(additive: OrderTestResult) -> None:
    kept = json.loads(json.dumps(asdict(additive)))
    assert kept["paper_rank"]["rank"] == 2
    assert kept["ranking"][0] == [[0, 100, 50], pytest.approx(0.65)]


def test_a_large_test_is_read_in_two_seconds() -> None:
    scores = _scores(orders(FIVE, "all"), 5, np.random.default_rng(0))
    started = time.process_time()
    analyse(scores, FIVE)
    assert time.process_time() - started < 2


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({(0, 100, 50): {0: 0.4}}, "lacks order 0, 100, 50 seed 1; run it again"),
        ({(0, 100, 50): {0: 0.4, 1: math.nan}}, "lacks order 0, 100, 50 seed 1"),
        (
            {(0, 100, 50): {}, (50, 0, 100): {}},
            (
                "lacks order 0, 100, 50 seed 0; order 0, 100, 50 seed 1; order 50, 0, 100 seed 0"
                " and 1 more"
            ),
        ),
        ({(0, 50): {0: 0.4, 1: 0.4}}, "the order 0, 50 is none of the levels 0, 50, 100"),
    ],
)
def test_scores_that_are_not_complete_are_refused(
    change: Mapping[Order, dict[int, float]], says: str
) -> None:
    scores = {order: {0: 0.4, 1: 0.5} for order in orders(ASCENDING, "all")}
    with pytest.raises(UserError, match=says):
        analyse({**scores, **change}, ASCENDING)


def test_the_paper_and_its_reverse_must_be_there() -> None:
    with pytest.raises(UserError, match="lacks order 100, 50, 0 seed 0"):
        analyse({ASCENDING: {0: 0.4, 1: 0.5}, (50, 0, 100): {0: 0.4, 1: 0.5}}, ASCENDING)
    with pytest.raises(UserError, match=r"seeds \[0\] cannot tell order from noise"):
        analyse({order: {0: 0.4} for order in orders(ASCENDING, "all")}, ASCENDING)


# ---------------------------------------------------------------- what is said


def test_the_sentences_say_what_was_counted(additive: OrderTestResult) -> None:
    said = sentences(additive, "val/macro_acc")
    assert said[0] == "All 6 orders of the levels 0, 50, 100, with 2 seeds each, by val/macro_acc."
    assert (
        "The paper's order (0, 50, 100) is 2nd of 6 with 55.0 %: 20 % of the others do at least as"
        " well." in said[1]
    )
    assert "p = 0.33 (two-sided p = 0.67); no p below 0.17 can come of so many." in said[1]
    assert "makes +40.0 points (without an interval: all seeds say the same)." in said[4]
    assert "The best order (0, 100, 50, 65.0 %) was picked for being best" in said[4]
    assert (
        said[5]
        == "Order matters here, but nothing says that the paper's is better than one picked at"
        " random."
    )
    assert said[-1].startswith("What this cannot say: ")


def test_a_verdict_needs_more_than_noise(additive: OrderTestResult) -> None:
    def verdict(p_order: float, p_trend: float, p_better: float) -> str:
        place = replace(additive.paper_rank, p_better=p_better, p_worse=1.02 - p_better)
        variance, trend = replace(additive.variance, p=p_order), replace(additive.trend, p=p_trend)
        return sentences(
            replace(additive, paper_rank=place, variance=variance, trend=trend), "val/macro_acc"
        )[5]

    assert verdict(0.3, 0.3, 0.3) == "Nothing here says that order matters."
    assert verdict(0.3, 0.01, 0.3).startswith("Only the trend hints that order matters")
    assert verdict(0.3, 0.3, 0.02).startswith("The paper's order ranks high, but")
    assert verdict(0.3, 0.3, 1.0).startswith("The paper's order ranks low, but")
    assert verdict(0.01, 0.3, 0.02).endswith("the paper's is better than one picked at random.")
    assert verdict(0.01, 0.3, 1.0).endswith("the paper's is worse than one picked at random.")


# ---------------------------------------------------------------- the figure


def test_the_figure_is_drawn_as_pixels(additive: OrderTestResult, tmp_path: Path) -> None:
    picture = Image.open(draw(additive, tmp_path / "made" / "orders.PNG", "val/macro_acc"))
    assert picture.width > 900
    assert len(set(np.asarray(picture.convert("L")).ravel().tolist())) > 10
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["orders.PNG"]


def test_the_figure_is_drawn_as_svg_the_same_each_time(tmp_path: Path) -> None:
    reading = analyse(_scores(orders(FIVE, 24), 3, np.random.default_rng(0)), FIVE, draws=9)
    first, second = (
        draw(reading, tmp_path / name, "val/macro_acc").read_bytes() for name in ("a.svg", "b.svg")
    )
    assert first == second
    for words in (
        b"val/macro_acc, mean of 3 seeds (%)",
        b"orders (count)",
        b"the paper's order",
        b"its reverse",
        b"noise of seeds alone",
    ):
        assert words in first


def test_a_figure_that_cannot_be_saved_is_refused(
    additive: OrderTestResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"orders.gif': a picture is a .png or .svg file"):
        draw(additive, tmp_path / "orders.gif", "val/macro_acc")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        draw(additive, tmp_path / "file" / "orders.svg", "val/macro_acc")
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(UserError, match=r"pip install 'discl\[plots\]'"):
        draw(additive, tmp_path / "orders.svg", "val/macro_acc")
