"""The gains that the probe of an adaptive strategy measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.style import level_words


class GainsChart(ReportChart):
    """A line a level, in a panel for each strategy with a probe."""

    id = "gains"
    order = 70
    title = "Gains of the probe"
    columns: ClassVar[Mapping[str, str]] = {
        **STRATEGY,
        "epoch": "epoch",
        "level": "level",
        "gain": "gain (points)",
    }
    per_strategy = True
    figure = "probe"

    def rows(self, comparison: Comparison) -> Rows:
        return comparison.histories.gains()

    def about(self, comparison: Comparison) -> str:
        return (
            "How much probability of the true class the probe images of each level gained in an"
            " epoch; adaptive strategies go where it is largest."
        )

    def colours(self, rows: Rows) -> Mapping[str, str]:
        return level_words(rows)

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        base = canvas.panel(self.id)
        position = {
            "x": canvas.x("epoch", None, axis=alt.Axis(grid=False, tickMinStep=1)),
            "y": canvas.y("gain", "gain (points)"),
        }
        tips = canvas.tooltip({"epoch": "epoch", "level": "level", "gain": "gain"})
        lines = base.mark_line(strokeWidth=1.8).encode(**position, **canvas.by_level("stroke"))
        dots = base.mark_point(size=26, filled=True, opacity=1).encode(
            **position, **canvas.by_level("fill"), tooltip=tips
        )
        return canvas.finish(lines + dots, ("which",), 150)
