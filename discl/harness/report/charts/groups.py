"""Recall of classes with many, medium and few training photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.canvas import Canvas
from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, interval

GROUPS = ("many", "medium", "few")  # titles of the columns of the board


class GroupsChart(ReportChart):
    """Bars, side by side in each group."""

    id = "groups"
    order = 30
    title = "Many, medium and few shots"
    columns: ClassVar[Mapping[str, str]] = {**STRATEGY, "group": "classes", **INTERVAL}
    figure = "groups"

    def rows(self, comparison: Comparison) -> Rows:
        """Strategy x group of classes, percent."""
        metrics = {
            metric: title for metric, title in comparison.board.columns.items() if title in GROUPS
        }
        return [
            {
                "strategy": row.strategy,
                "metric": metric,
                "title": title,
                **interval(row.metrics[metric].mean),
                "group": title,
                "order": order,
            }
            for order, row in enumerate(comparison.board.rows)
            for metric, title in metrics.items()
            if row.metrics[metric].mean.n
        ]

    def about(self, comparison: Comparison) -> str:
        return (
            "Mean recall of classes by how many real training photos they have, with 95 %"
            " intervals over seeds."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        base = canvas.shown(self.id)
        axis = alt.Axis(labelAngle=0, labelFontSize=13)
        position = {
            "x": alt.X(field="group", type="nominal", sort=list(GROUPS), title=None, axis=axis),
            # by a number: else Vega-Lite sorts by the colours' names, which it writes into an
            # expression, and names may hold anything
            "xOffset": alt.XOffset(
                field="strategy",
                type="nominal",
                sort=alt.EncodingSortField(field="order", op="min"),
            ),
        }
        tips = {
            "strategy": "strategy",
            "group": "classes",
            "mean": "percent",
            "low": "from",
            "high": "to",
        }
        height = canvas.recall("mean")
        pale = {"opacity": 0.45} if canvas.paper else {}
        bars = base.mark_bar(cornerRadiusEnd=2, **pale).encode(
            **position,
            y=height,
            **canvas.by_strategy("fill"),
            tooltip=canvas.tooltip(tips),
        )
        intervals = base.mark_rule(stroke=canvas.ink, opacity=0.75).encode(
            **position, y=canvas.recall("low"), y2="high:Q"
        )
        drawn = bars + intervals
        if canvas.paper:  # shapes tell the bars apart where there is no colour
            drawn += canvas.dots(base, {**position, "y": height}, tips, 45)
        return canvas.finish(drawn, ("hidden",), 260)
