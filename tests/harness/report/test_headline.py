"""The headline says what the numbers allow, and no more.

Four rows that deviate by 0.5 points: half an interval is 5.757 (studentized range of 4 means, 4
degrees of freedom) x 0.5 / sqrt(3) = 1.7.
"""

import math

import pytest

from discl.core.errors import UserError
from discl.harness.leaderboard.statistics import Estimate
from discl.harness.report.comparison import Comparison
from discl.harness.report.headline import gain_steps, points
from tests.reports import ALL, FEW, comparison_of

CLEAR = {
    "static": [31.5, 32, 32.5],
    "all_levels": [27.5, 28, 28.5],
    "real_rebalanced": [21.5, 22, 22.5],
    "real_only": [1.5, 2, 2.5],
}


def _said(comparison: Comparison) -> str:
    """The sentence without the epoch, which every claim names."""
    sentence = comparison.headline.sentence
    assert sentence.startswith("At the last epoch: ") == bool(comparison.headline.best)
    return sentence.removeprefix("At the last epoch: ")


def test_a_clear_win_is_taken_apart_into_rebalancing_synthesis_and_order() -> None:
    comparison = comparison_of(CLEAR)
    assert (
        _said(comparison)
        == "static beats rebalanced real photos by 10.0 ± 1.7 points on few-shot classes; order"
        " explains 4.0 ± 1.7 of them."
    )
    gains = {(step.step, step.strategy): points(step.gain) for step in comparison.gain_steps[FEW]}
    assert gains == {
        ("rebalancing", "real_rebalanced"): "+20.0 ± 1.7",
        ("synthesis", "all_levels"): "+6.0 ± 1.7",
        ("order", "static"): "+4.0 ± 1.7",
    }
    assert sum(step.gain.mean for step in comparison.gain_steps[FEW]) == pytest.approx(
        0.30
    )  # from real_only to static


def test_the_strategy_of_the_headline_is_also_said_where_it_does_not_win() -> None:
    others = {**{name: [40, 41, 42] for name in CLEAR}, "static": [40, 42, 41]}
    notes = " ".join(comparison_of(CLEAR, others=others).headline.notes)
    assert (
        "Its difference elsewhere: over all classes +0.0 ± 3.3 (may be zero) and out of"
        " distribution" in notes
    )
    assert "so choosing the largest difference is allowed for" in notes
    assert "No sign-flip p of 3 seeds can be below 0.25: what is told rests" in notes


def test_what_order_adds_is_said_to_be_nothing_where_its_interval_holds_zero() -> None:
    comparison = comparison_of({**CLEAR, "all_levels": [30.5, 31, 31.5]})
    assert _said(comparison).endswith("; what order adds to it may be zero (+1.0 ± 1.7).")


def test_order_that_costs_is_said_to_cost() -> None:
    # all_levels is above, but too noisy to differ clearly from the baseline
    comparison = comparison_of(
        {"static": [29, 32, 35], "all_levels": [30, 33, 36], "real_rebalanced": [20, 22, 24]},
        ["real_rebalanced"],
    )
    assert (
        _said(comparison)
        == "All levels at once beats rebalanced real photos by 11.0 ± 8.4 points on few-shot"
        " classes; "
        "no order of the levels clearly adds to that."
    )


def test_a_strategy_without_an_order_is_not_credited_with_one() -> None:
    comparison = comparison_of({**CLEAR, "text_only": [41.5, 42, 42.5]})
    assert (
        _said(comparison)
        == "text_only beats rebalanced real photos by 20.0 ± 1.8 points on few-shot classes, which"
        " is 14.0 ± 1.8 more than all levels at once."
    )


def test_a_strategy_without_an_order_may_tie_with_all_levels() -> None:
    comparison = comparison_of(
        {"text_only": [30, 32, 34], "all_levels": [31, 28, 31], "real_rebalanced": [20, 22, 24]}
    )
    assert _said(comparison).endswith(
        "; it does not clearly differ from all levels at once (+2.0 ± 5.7)."
    )


def test_what_each_order_gains_is_said_beside_any_headline() -> None:
    tie = {
        "static": [16, 15, 17],
        "reverse": [19, 20, 21],
        "all_levels": [20, 19, 21],
        "real_rebalanced": [20, 20, 20],
    }
    assert (
        "Order against all levels at once: reverse +0.0 ± 3.3 (may be zero) and static -4.0"
        " ± 3.3." in comparison_of(tie).headline.notes
    )


def test_a_tie_is_called_a_tie() -> None:
    comparison = comparison_of(
        {"static": [19, 20, 21], "all_levels": [20, 22, 18], "real_rebalanced": [20, 20, 20]}
    )
    assert _said(comparison).startswith(
        "no strategy clearly differs from rebalanced real photos on few-shot classes; the largest"
        " difference"
    )
    assert not comparison.headline.certain


def test_strategies_that_fall_behind_are_named() -> None:
    six = {"static": [10, 11, 12, 10, 11, 12], "real_rebalanced": [20] * 6}  # least p: 1/32
    assert _said(comparison_of(six)).startswith(
        "no strategy beats rebalanced real photos on few-shot classes, and static falls behind; "
        "the largest difference is that of static, -9.0 ± "
    )
    assert "p of" not in " ".join(comparison_of(six).headline.notes)


def test_with_so_few_seeds_that_no_p_is_small_nobody_is_said_to_fall_behind() -> None:
    comparison = comparison_of({"static": [10, 11, 12], "real_rebalanced": [20, 20, 20]})
    assert (
        _said(comparison)
        == "no strategy beats rebalanced real photos on few-shot classes, and static is below by"
        " the interval, not by p; the largest difference is that of static, -9.0 ± 2.1 points."
    )
    notes = " ".join(comparison.headline.notes)
    assert "No sign-flip p of 3 seeds can be below 0.25: what is told rests" in notes


def test_one_seed_says_that_it_says_nothing() -> None:
    comparison = comparison_of({"static": [24.1], "all_levels": [21], "real_rebalanced": [20]})
    assert (
        _said(comparison)
        == "One seed tells nothing apart: on few-shot classes the largest difference to rebalanced"
        " real photos is that of static, +4.1 points, and another seed may turn it round."
    )
    assert not comparison.leading[FEW]  # nobody is set in bold


def test_without_a_baseline_the_sentence_says_how_to_get_one() -> None:
    comparison = comparison_of({"static": [24, 25], "all_levels": [21, 22]})
    assert (
        _said(comparison)
        == "There is no run of real_rebalanced, so nothing can be compared: `discl bench cifar10_lt"
        " --scale smoke --strategies real_rebalanced`."
    )
    assert not comparison.differences


def test_another_baseline_is_the_one_that_was_asked_for() -> None:
    assert "beats all levels at once by 4.0 ± 1.7 points" in _said(
        comparison_of(CLEAR, ["all_levels"])
    )


def test_rows_that_lack_seeds_are_shown_and_not_spoken_of() -> None:
    comparison = comparison_of({**CLEAR, "adaptive": [90, 90]})
    assert comparison.headline.best == "static"
    assert comparison.headline.notes[-1] == "Not spoken of, since seeds are missing: adaptive."
    assert "adaptive" not in {step.strategy for step in comparison.gain_steps[FEW]}


def test_a_baseline_that_lacks_seeds_compares_nothing() -> None:
    comparison = comparison_of({"static": [1, 2, 3], "real_rebalanced": [1, 2]})
    assert _said(comparison).startswith(
        "real_rebalanced lacks seeds that others have, so nothing can be compared yet"
    )


def test_a_baseline_alone_compares_nothing() -> None:
    sentence = comparison_of({"real_rebalanced": [1, 2]}).headline.sentence
    assert (
        sentence
        == "Only real_rebalanced has been measured on every seed so far, so nothing is compared"
        " yet."
    )


def test_a_baseline_without_a_number_compares_nothing() -> None:
    nothing = [math.nan, math.nan]
    comparison = comparison_of(
        {"static": [3, 4], "real_rebalanced": nothing},
        others={"static": [3, 4], "real_rebalanced": [1, 2]},
    )
    assert (
        _said(comparison)
        == "'few' was not measured of real_rebalanced, so nothing can be compared by it."
    )
    assert comparison.headlines[ALL].best == "static"


def test_what_is_no_number_was_not_measured() -> None:
    comparison = comparison_of({**CLEAR, "static": [math.nan, math.nan, math.nan]})
    assert _said(comparison).startswith("All levels at once beats rebalanced real photos by 6.0")
    assert comparison.scores[FEW]["static"] == {}
    assert comparison.scores[ALL]["static"] == {}


def test_without_runs_there_is_no_report() -> None:
    with pytest.raises(UserError, match="no complete run of cifar10_lt"):
        comparison_of({})


def test_the_chain_leaves_out_what_has_no_run() -> None:
    scores = {"static": {0: 0.5}, "all_levels": {0: 0.4}}
    assert [step.step for step in gain_steps(scores, ["static"])] == ["order"]
    assert gain_steps(scores, []) == []  # a strategy without an order is credited with none
    assert (
        gain_steps({"static": {0: 0.5}, "all_levels": {1: 0.4}}, ["static"]) == []
    )  # no seed in common


def test_points_have_a_sign_and_half_an_interval_where_there_is_one() -> None:
    assert points(Estimate(-0.041, 0.009, 3)) == "-4.1 ± 0.9"
    assert points(Estimate(0.041, None, 1)) == "+4.1"
