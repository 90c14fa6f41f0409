"""The mix of guidance levels that each strategy trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.canvas import Canvas
from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows


class LevelsChart(ReportChart):
    """Stacked columns, one an epoch, in a panel for each strategy."""

    id = "levels"
    order = 60
    title = "What each strategy trained on"
    columns: ClassVar[Mapping[str, str]] = {
        **STRATEGY,
        "epoch": "epoch",
        "level": "level",
        "share": "share (%)",
    }
    per_strategy = True
    figure = "levels"

    def rows(self, comparison: Comparison) -> Rows:
        return comparison.histories.levels()

    def about(self, comparison: Comparison) -> str:
        return (
            "Share of each guidance level in every epoch, mean over seeds: 100 is the photo itself,"
            " 0 is text only."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        last = max(row["epoch"] for row in canvas.rows)
        epochs = alt.Scale(domain=[0.5, last + 0.5], nice=False)
        percents = alt.Scale(domain=[0, 100])
        columns = (
            canvas.panel(self.id)
            .transform_calculate(start="datum.epoch - 0.5", end="datum.epoch + 0.5")
            .mark_rect(stroke=canvas.background, strokeWidth=0.5)
            .encode(
                x=canvas.x("start", None, scale=epochs, axis=alt.Axis(grid=False, tickCount=4)),
                x2="end:Q",
                y=canvas.y(
                    "from", None, scale=percents, axis=alt.Axis(values=[0, 50, 100], grid=False)
                ),
                y2="to:Q",
                **canvas.by_level("fill"),
                tooltip=canvas.tooltip({"epoch": "epoch", "level": "level", "share": "share (%)"}),
            )
        )
        return canvas.finish(columns, ("which",), 96)
