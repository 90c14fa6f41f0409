"""What a table's seeds can tell apart, in the words of plans and reports; NaN stays out of both."""

import math
from pathlib import Path

import numpy as np
import pytest

from discl.core.result import Result
from discl.harness.leaderboard.formats import as_markdown
from discl.harness.leaderboard.power import (
    STATED_SPREAD,
    of_first_two,
    pooled_spread,
    seeds_needed,
    sentences,
    spreads_of,
    stated_spread,
    told_apart,
)
from tests.reports import ALL, FEW, comparison_of, result

ROWS = {
    "static": [30, 34, 32],
    "all_levels": [27, 30, 27],
    "real_rebalanced": [20, 23, 23],
    "real_only": [1, 2, 3],
}


def test_spreads_are_those_of_rows_with_two_seeds_pooled() -> None:
    values: dict[str, list[float]] = {"a": [30, 34], "b": [20, 22], "c": [7], "d": [9, math.nan]}
    found = [
        result(name, seed, {FEW: few / 100, ALL: few / 50})
        for name, row in values.items()
        for seed, few in enumerate(row)
    ]
    pooled = math.sqrt((8 + 2) / 2) / 100  # variances of 30, 34 and of 20, 22
    assert spreads_of(found) == pytest.approx({"few": pooled, "all": 2 * pooled})
    assert spreads_of(found[-1:]) == spreads_of([]) == {}


def test_a_plan_says_what_its_seeds_tell_apart_and_what_points_take() -> None:
    (line,) = sentences({"few": 0.02}, 4, 5, 1.5)
    five = seeds_needed(0.05, 0.02, 4)
    assert five
    assert line.startswith(
        f"power in few: 5 seeds tell {100 * told_apart(5, 0.02, 4):.1f} points apart;"
        f" to see a difference 4 of 5 times takes, for 5 points: {five} seeds,"
        f" {five * 4 * 1.5:,.0f} minutes; 2 points: "
    )
    assert line.endswith("(4 rows, spread over seeds 2.0: today's spread, from stored runs)")


def test_a_plan_of_one_seed_without_runs_states_a_spread_and_claims_nothing() -> None:
    (line,) = sentences({}, 9, 1, None)
    assert line.startswith("power in few: one seed makes no claim; to see a difference")
    assert f"spread over seeds {100 * STATED_SPREAD:.1f}: a stated spread" in line
    assert "minutes" not in line
    (line,) = sentences({"few": 2.0}, 9, 1, 1.0)
    assert "1 point: more than 2,000 seeds (" in line


def test_a_stated_spread_is_not_borrowed_for_a_handful_of_test_photos() -> None:
    (line,) = sentences({}, 4, 3, 1.0, [1, 3])
    assert line.startswith("power in few: unknown before two seeds are stored, as few has 4 test")
    assert "one photo moves it by about 25 points" in line
    assert sentences({}, 4, 3, 1.0, []) == ["power in few: unknown, as few has no test photo here"]
    assert sentences({}, 4, 3, 1.0, [1000] * 3) == sentences({}, 4, 3, 1.0)
    assert sentences({"few": 0.02}, 4, 3, 1.0, [1, 3]) == sentences({"few": 0.02}, 4, 3, 1.0)


@pytest.mark.parametrize("photos", [[50, 50], [40, 200, 60]])
def test_few_test_photos_add_what_chance_does_to_a_mean_of_recalls(photos: list[int]) -> None:
    random = np.random.default_rng(0)
    recalls = np.mean([random.binomial(n, 0.5, 20_000) / n for n in photos], axis=0)
    spread = stated_spread(photos)
    assert spread == pytest.approx(math.hypot(STATED_SPREAD, recalls.std()), rel=0.03)
    (line,) = sentences({}, 4, 3, 1.0, photos)
    assert f"spread over seeds {100 * (spread or 0):.1f}: at most about, by chance over" in line


def test_a_report_says_how_many_seeds_would_tell_its_first_two_apart() -> None:
    board = comparison_of(ROWS).board
    spread = math.sqrt(np.mean([np.var(row, ddof=1) for row in ROWS.values()])) / 100
    wanted = seeds_needed(0.04, spread, 4)
    said = of_first_two(board, FEW)
    assert said == (
        "Power: in `few` the first two, static and all_levels, differ by 4.0 points; if that is the"
        f" true difference, {wanted} seeds would tell them apart four times out of five (4 rows,"
        f" spread {100 * spread:.1f} points). 3 seeds tell {100 * told_apart(3, spread, 4):.1f}"
        " points apart."
    )


def test_a_report_without_a_spread_or_a_second_row_says_no_number() -> None:
    one_seed = comparison_of({"static": [30], "real_only": [2]}).board
    assert "differ by 28.0 points; one seed says nothing of" in of_first_two(one_seed, FEW)
    assert of_first_two(comparison_of({"static": [30, 31]}).board, FEW) == ""
    unmeasured = comparison_of({"static": [30, 31], "real_only": [math.nan, math.nan]}).board
    assert of_first_two(unmeasured, FEW) == ""
    alike = comparison_of({"a": [30, 34], "real_only": [34, 30]}).board
    assert "differ by 0.0 points, so nothing is to be told apart; 2 seeds tell " in of_first_two(
        alike, FEW
    )
    steady = comparison_of({"a": [30, 30], "real_only": [34, 34]}).board
    assert "differ by 4.0 points; its seeds do not differ, so nothing" in of_first_two(steady, FEW)


def test_seeds_that_do_not_differ_price_no_difference() -> None:
    (line,) = sentences({"few": 1e-9}, 4, 3, 1.0)
    assert line == (
        "power in few: seeds of stored runs differ by under 0.05 points, so nothing says how many"
        " seeds a difference takes"
    )


def test_nan_in_one_seed_is_left_out_of_row_difference_and_power() -> None:
    board = comparison_of({**ROWS, "static": [30, math.nan, 34]}).board
    row = next(row for row in board.rows if row.strategy == "static")
    mean = row.metrics[FEW].mean
    assert mean.mean == pytest.approx(0.32)
    assert mean.n == 2
    difference = row.differences["real_rebalanced"][FEW]
    assert difference.mean.mean == pytest.approx(0.105)
    assert difference.mean.n == 2
    assert difference.p == 0.5  # of two pairs
    assert row.places is not None
    assert "4.0 points" not in of_first_two(board, FEW)  # over the seeds that both have: 5.0
    assert "differ by 5.0 points" in of_first_two(board, FEW)
    assert "nan" not in as_markdown(board).lower()


def test_the_stated_spread_is_that_of_few_in_the_published_table() -> None:
    by_strategy: dict[str, list[float]] = {}
    for path in sorted(Path("leaderboards/results/cifar10_lt/smoke").rglob("*.json")):
        stored = Result.read(path).under("last")
        by_strategy.setdefault(stored.strategy, []).append(stored.metrics["test/few_acc"])
    assert len(by_strategy) == 11
    spread = pooled_spread(by_strategy.values())
    assert spread is not None
    assert round(spread, 3) == STATED_SPREAD
