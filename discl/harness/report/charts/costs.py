"""The cost of a run against its accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, interval
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.labels import with_sides
from discl.harness.report.drawing.reach import PERCENTS, POINTS, within_reach

COSTS = {  # of a run, as the board names it -> as a reader chooses it
    "minutes": "minutes of training",
    "denoising_steps": "denoising steps",
    "steps": "optimiser steps",
    "images": "generated images",
}
HEIGHT = 280
PAPER_COST = COSTS["denoising_steps"]  # of the figure, where a reader cannot choose


class CostsChart(ReportChart):
    """A scatter plot with the interval over seeds."""

    id = "costs"
    order = 100
    title = "Cost against accuracy"
    columns: ClassVar[Mapping[str, str]] = {**STRATEGY, "spent": "spent", **INTERVAL}
    choices = ("metric", "cost")
    figure = "cost"

    def rows(self, comparison: Comparison) -> Rows:
        """Strategy x cost x metric; percent, and cost of one run."""
        rows: Rows = []
        for key, cost in COSTS.items():
            for metric in comparison.board.columns:
                drawn = [
                    {
                        "strategy": row.strategy,
                        "metric": metric,
                        "cost": cost,
                        "spent": row.cost[key],
                        **interval(row.metrics[metric].mean),
                    }
                    for row in comparison.board.rows
                    if key in row.cost and row.metrics[metric].mean.n
                ]
                rows += _placed(drawn)
        return rows

    def about(self, comparison: Comparison) -> str:
        return (
            "What a run costs against what it reaches. Every strategy trains for the same number of"
            " optimiser steps; denoising steps are those of its bank's images, made by any run."
        )

    def caption(self, comparison: Comparison) -> str:
        title = comparison.board.columns[comparison.metric]
        return f"{PAPER_COST.capitalize()} and {title}. {self.about(comparison)}"

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        base = canvas.shown(self.id, *self.choices)
        free = {"scale": alt.Scale(zero=False, padding=14)}
        title = PAPER_COST if canvas.paper else None  # on the page the reader chooses the cost
        x = canvas.x("spent", title, scale=alt.Scale(zero=True, nice=True))
        intervals = base.mark_rule(opacity=0.6).encode(
            x=x,
            y=canvas.y("begin", "percent", **free),
            y2="end:Q",
            **canvas.by_strategy("stroke"),
        )
        position = {"x": x, "y": canvas.y("mean", "percent", **free)}
        tips = {
            "strategy": "strategy",
            "spent": "spent",
            "mean": "percent",
            "low": "from",
            "high": "to",
        }
        dots = canvas.dots(base, position, tips, 110)
        drawn = alt.layer(intervals, dots, *canvas.names(base, position))
        return canvas.finish(drawn, (*self.choices, "hidden"), HEIGHT)


def _placed(rows: Rows) -> Rows:
    """Rows of one chart, with the sides their names fit on."""
    return with_sides(
        within_reach(rows, times=3.0, least_room=POINTS, bounds=PERCENTS),
        ["spent"],
        ["mean", "begin", "end"],
        HEIGHT,
        from_zero=True,
    )
