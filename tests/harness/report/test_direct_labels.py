"""Names beside marks, where they fit."""

from typing import Any

from discl.harness.report.drawing.labels import (
    LONGEST,
    PlotAxis,
    label_sides,
    with_names,
    with_sides,
)
from tests.reports import HOSTILE

WIDE, HIGH = PlotAxis(0, 100, 230), PlotAxis(0, 100, 250)


def _sides(points: list[tuple[float, float]], names: list[str] | None = None) -> list[str]:
    return label_sides(names or ["static"] * len(points), points, WIDE, HIGH)


def test_a_name_stands_to_the_right_or_where_there_is_room() -> None:
    assert _sides([(50, 50)]) == ["right"]
    assert _sides([(99, 50)]) == ["left"]  # 38 pixels would leave the plot
    assert _sides([(50, 50), (60, 50)]) == ["left", "right"]  # the second mark is in the way
    assert _sides([(50, 50), (54, 50), (46, 50), (50, 54), (50, 46)])[0] == ""


def test_a_name_meets_no_name_that_was_placed_before() -> None:
    first, second = _sides([(50, 50), (52, 52)])  # marks 7 pixels apart
    assert first == "left"
    assert second == "right"


def test_a_long_name_is_left_to_the_key() -> None:
    assert _sides([(10, 10)], ["n" * LONGEST]) == ["right"]
    assert _sides([(10, 10)], ["n" * (LONGEST + 1)]) == [""]
    assert _sides([(10, 10)], [HOSTILE["long"]]) == [""]


def test_marks_at_one_place_and_no_mark_at_all_have_an_answer() -> None:
    flat = PlotAxis(3, 3, 230)
    assert label_sides(["a", "b"], [(3, 3), (3, 3)], flat, flat) == ["right", "left"]
    assert with_sides([], ["x"], ["y"], 280) == []
    assert with_names([]) == []


def test_the_ends_of_intervals_widen_the_axis_that_names_are_placed_on() -> None:
    row: dict[str, Any] = {"strategy": "static", "low": None, "high": None}
    rows = [{**row, "x": 0, "y": 0.0}, {**row, "x": 1, "y": 0.0}]
    assert [each["side"] for each in with_sides(rows, ["x"], ["y"], 280)] == ["right", "left"]
    rows[1]["high"] = 100  # the marks are now two pixels apart
    assert with_sides(rows, ["x", "high"], ["y"], 280)[0]["side"] != "right"


def test_a_curve_is_named_at_its_end_unless_another_ends_there() -> None:
    def curve(name: str, *means: float) -> list[dict[str, Any]]:
        return [
            {"strategy": name, "epoch": epoch, "mean": mean, "begin": None, "end": None}
            for epoch, mean in enumerate(means)
        ]

    rows = with_names([*curve("static", 0, 90), *curve("bandit", 10, 91), *curve("fixed", 0, 50)])
    assert [row["side"] for row in rows] == ["", "right", "", "", "", "right"]
