"""Recall of classes with many, medium and few training photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, interval
from discl.harness.report.drawing.canvas import Canvas

GROUPS = ("many", "medium", "few")  # titles of the columns of the board


class GroupsChart(ReportChart):
    """Dots with intervals, side by side in each group, over the dots of the seeds."""

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
                "seeds": comparison.seeds_of(metric, row.strategy),
            }
            for order, row in enumerate(comparison.board.rows)
            for metric, title in metrics.items()
            if row.metrics[metric].mean.n
        ]

    def about(self, comparison: Comparison) -> str:
        return (
            "Mean recall of classes by how many real training photos they have, with 95 %"
            " intervals over seeds; pale dots are the seeds' own."
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
        seeds = canvas.seed_dots(base, {**position, "y": canvas.recall("seed")})
        intervals = base.mark_rule(strokeWidth=2, opacity=0.8).encode(
            **position,
            y=canvas.recall("low"),
            y2="high:Q",
            **canvas.by_strategy("stroke"),
        )
        dots = canvas.dots(base, {**position, "y": canvas.recall("mean")}, tips, 45)
        return canvas.finish(seeds + intervals + dots, ("hidden",), 280)
