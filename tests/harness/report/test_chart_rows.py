"""Rows for charts, by hand."""

from dataclasses import replace

import pytest

from discl.harness.leaderboard.statistics import Estimate
from discl.harness.report.chart import draw_charts
from discl.harness.report.charts.classes import ClassesChart
from discl.harness.report.charts.costs import CostsChart
from discl.harness.report.charts.differences import DifferencesChart
from discl.harness.report.charts.distribution_shift import DistributionShiftChart
from discl.harness.report.charts.seeds import SeedsChart
from discl.harness.report.comparison import interval
from discl.harness.report.drawing.reach import within_reach
from discl.harness.report.histories import Histories
from tests import results
from tests.reports import FEW, OOD, comparison_of, run

TWO = {"static": [30, 34], "real_rebalanced": [20, 22]}


def test_an_interval_is_in_percent_and_has_no_ends_where_one_seed_cannot_give_them() -> None:
    assert interval(Estimate(0.3, 0.05, 3)) == {"mean": 30.0, "low": 25.0, "high": 35.0, "n": 3}
    assert interval(Estimate(0.3, None, 1)) == {"mean": 30.0, "low": None, "high": None, "n": 1}
    assert interval(Estimate(float("nan"), None, 0))["mean"] is None


def test_differences_say_whether_they_are_clear_by_intervals_that_hold_together() -> None:
    (row,) = [row for row in DifferencesChart().rows(comparison_of(TWO)) if row["metric"] == FEW]
    assert (row["strategy"], row["baseline"], row["mean"], row["n"]) == (
        "static",
        "real_rebalanced",
        11.0,
        2,
    )
    assert row["high"] - row["mean"] == pytest.approx(
        11.558, abs=0.02
    )  # variances 8 and 2, the latter raised to 5: t of 1.9 degrees of freedom x sqrt(13 / 2)
    assert not row["clear"]


@pytest.mark.parametrize("name", ["chain", "forest", "seeds"])
def test_a_number_in_a_chart_is_that_of_the_table(name: str) -> None:
    """20.25 is 20.2 in tables, and 20.3 as Vega formats it."""
    compared = comparison_of({"all_levels": [40.5, 40.5], "real_rebalanced": [20.25, 20.25]})
    (chart,) = [chart for chart in draw_charts(compared) if chart.id == name]
    numbers = {row["number"] for row in chart.rows if row["metric"] == FEW}
    assert numbers == ({"20.2", "40.5"} if name == "seeds" else {"+20.2"})
    assert "format(" not in str(chart.spec)


def test_a_class_that_test_lacks_is_left_out() -> None:
    recalls = [0.9, None, *[0.5] * 8]
    rows = ClassesChart().rows(comparison_of(TWO, class_recalls=recalls))
    assert {row["class"] for row in rows} == set(results.CLASSES) - {"automobile"}
    assert {row["mean"] for row in rows if row["class"] == "airplane"} == {90.0}


def test_many_classes_are_drawn_together_by_their_photos() -> None:
    classes, counts = [f"c{i}" for i in range(60)], [1] * 20 + [5] * 20 + [0] * 20
    recalls = [0.1] * 20 + [0.6] * 10 + [0.4] * 10 + [None] * 20
    rows = ClassesChart().rows(
        comparison_of(TWO, classes=classes, counts=counts, class_recalls=recalls)
    )
    means = [(row["class"], row["mean"]) for row in rows if row["strategy"] == "static"]
    assert means == [
        ("4 to 7 photos (20 classes)", 50.0),
        ("1 photo (20 classes)", 10.0),
    ]  # nothing was measured of the others


def test_home_and_elsewhere_stand_in_one_row_a_strategy() -> None:
    rows = DistributionShiftChart().rows(comparison_of(TWO))
    assert [(row["strategy"], row["id_mean"], row["ood_mean"]) for row in rows] == [
        ("static", 42.0, 42.0),
        ("real_rebalanced", 31.0, 31.0),
    ]


def test_costs_are_those_of_a_run() -> None:
    rows = [
        row
        for row in CostsChart().rows(comparison_of(TWO))
        if row["metric"] == OOD and row["strategy"] == "static"
    ]
    assert {row["cost"]: row["spent"] for row in rows}["minutes of training"] == pytest.approx(0.75)


def test_the_share_of_each_group_of_classes_is_stacked_from_many_to_few() -> None:
    one, other = run(1, {0: 1.0}), run(1, {100: 1.0})
    one = [replace(report, seen_by_group={"many": 6, "medium": 0, "few": 2}) for report in one]
    other = [replace(report, seen_by_group={"many": 2, "medium": 4, "few": 2}) for report in other]
    before = [replace(report, seen_by_group={}) for report in run(1, {0: 1.0})]
    histories = Histories({"static": [one, other], "reverse": [before]}, "val/macro_acc")
    assert [
        (row["strategy"], row["group"], row["share"], row["from"]) for row in histories.groups()
    ] == [  # the record of `reverse` is from before it was kept
        ("static", "many", 50.0, 0.0),
        ("static", "medium", 25.0, 50.0),
        ("static", "few", 25.0, 75.0),
    ]


def test_levels_are_stacked_and_averaged_over_runs() -> None:
    histories = Histories({"static": [run(1, {0: 1.0}), run(1, {100: 1.0})]}, "val/macro_acc")
    assert [(row["level"], row["share"], row["from"], row["to"]) for row in histories.levels()] == [
        (0, 50.0, 0.0, 50.0),
        (100, 50.0, 50.0, 100.0),
    ]


def test_gains_are_averaged_over_the_runs_whose_probe_measured_the_level() -> None:
    histories = Histories(
        {
            "adaptive": [
                run(1, {0: 1.0}, {0: 0.02}),
                run(1, {0: 1.0}, {0: 0.04, 50: 0.01}),
                run(1, {0: 1.0}, {0: float("nan")}),
            ]
        }
    )
    assert [(row["level"], row["gain"]) for row in histories.gains()] == [(0, 3.0), (50, 1.0)]


def test_curves_have_a_band_where_runs_give_one_and_leave_out_what_was_not_measured() -> None:
    histories = Histories(
        {"static": [run(2, {100: 1.0}, val=0.2), run(1, {100: 1.0}, val=0.3)]}, "val/macro_acc"
    )
    first, second = histories.val()
    assert (first["epoch"], first["mean"], first["n"]) == (1, 25.0, 2)
    assert first["high"] - first["low"] == pytest.approx(
        2 * 12.706 * 5, rel=1e-3
    )  # sd 7.07 over sqrt(2)
    assert (second["mean"], second["low"], second["high"], second["n"]) == (20.0, None, None, 1)
    assert Histories({"static": [run(1, {100: 1.0})]}, "val/few_acc").val() == []


@pytest.mark.parametrize(("name", "along"), [("groups", "y"), ("classes", "x")])
def test_axes_of_recall_run_from_0_to_100(name: str, along: str) -> None:
    found = draw_charts(comparison_of({"static": [30, 34], "real_rebalanced": [2, 3]}))
    (chart,) = [each for each in found if each.id == name]
    axes = [layer["encoding"][along] for layer in chart.spec["layer"]]
    assert axes
    assert all(axis["scale"]["domain"] == [0, 100] for axis in axes)


@pytest.mark.parametrize("name", ["forest", "chain", "seeds", "costs", "scatter"])
def test_an_axis_reaches_as_far_as_dots_need_and_says_where_an_interval_runs_on(name: str) -> None:
    few = {"static": [30, 34], "all_levels": [28, 35], "real_rebalanced": [20, 26]}
    many = {row: [*values] * 6 for row, values in few.items()}
    (cut,) = [chart for chart in draw_charts(comparison_of(few)) if chart.id == name]
    (whole,) = [chart for chart in draw_charts(comparison_of(many)) if chart.id == name]
    prefix = "id_" if name == "scatter" else ""
    with_interval = [row for row in cut.rows if row[f"{prefix}high"] is not None]
    for row in with_interval:
        assert -35 < row[f"{prefix}begin"] <= row[f"{prefix}mean"] <= row[f"{prefix}end"] < 80
    assert any(row[f"{prefix}end"] < row[f"{prefix}high"] for row in with_interval)
    assert cut.about == f"{whole.about} {cut.kind.cut_off}"
    for row in whole.rows:
        assert (row[f"{prefix}begin"], row[f"{prefix}end"]) == (
            row[f"{prefix}low"],
            row[f"{prefix}high"],
        )


def test_every_seed_of_a_row_is_drawn_up_to_fifty() -> None:
    (first, second) = [row for row in SeedsChart().rows(comparison_of(TWO)) if row["metric"] == FEW]
    assert (first["strategy"], first["seeds"]) == ("static", [30.0, 34.0])
    assert second["seeds"] == [20.0, 22.0]
    many = comparison_of({"static": [30.0] * 60, "real_rebalanced": [20.0] * 60})
    assert len(SeedsChart().rows(many)[0]["seeds"]) == 50
    assert "The first 50 seeds are drawn." in SeedsChart().about(many)


def test_seeds_of_a_difference_are_those_that_both_have() -> None:
    compared = comparison_of({"static": [30, 34, 31], "real_rebalanced": [20, 22]})
    (row,) = [row for row in DifferencesChart().rows(compared) if row["metric"] == FEW]
    assert row["seeds"] == [10.0, 12.0]


def test_a_chart_of_strategies_has_a_key_unless_its_rows_are_named() -> None:
    told = {"static": [run(2, {0: 1.0})], "real_rebalanced": [run(2, {100: 1.0})]}
    found = {
        chart.id: chart
        for chart in draw_charts(comparison_of(TWO, histories=Histories(told, "val/macro_acc")))
    }
    for name in ("groups", "scatter", "classes", "val", "loss", "costs"):
        assert found[name].key == ["static", "real_rebalanced"]
        assert not found[name].colours
    for name in ("chain", "seeds", "forest"):
        if name in found:
            assert not found[name].key
    assert [*found["levels"].colours] == ["0 (text)", "100 (photo)"]
    assert [*found["sampler_shares"].colours] == ["many", "medium", "few"]
    assert not found["sampler_shares"].key


def test_names_stand_beside_the_dots_on_the_page_and_not_in_print() -> None:
    for paper, texts in ((False, 1), (True, 0)):
        found = draw_charts(comparison_of(TWO), paper=paper)
        (scatter,) = [chart for chart in found if chart.id == "scatter"]
        layers = [layer["mark"]["type"] for layer in scatter.spec["layer"]]
        assert layers.count("text") == texts
        assert {row["side"] for row in scatter.rows} <= {"right", "left", "above", "below", ""}


def test_classes_are_dots_with_intervals_and_no_line_runs_through_them() -> None:
    (chart,) = [chart for chart in draw_charts(comparison_of(TWO)) if chart.id == "classes"]
    assert {layer["mark"]["type"] for layer in chart.spec["layer"]} == {"rule", "point"}
    assert {row["rank"] for row in chart.rows} == {0, 1}


def test_an_interval_over_dots_at_one_place_gets_a_little_room_and_percents_end_at_100() -> None:
    row = {"mean": 99.0, "low": -50.0, "high": 248.0, "seeds": [99.0, 99.0]}
    (cut,) = within_reach([row], least_room=5.0, bounds=(0.0, 100.0))
    assert (cut["begin"], cut["end"]) == (94.0, 100.0)
    (whole,) = within_reach([row])  # without any room there is nothing to cut by
    assert (whole["begin"], whole["end"]) == (-50.0, 248.0)
    none = {"mean": 99.0, "low": None, "high": None}
    assert within_reach([none])[0] == {**none, "begin": None, "end": None}
