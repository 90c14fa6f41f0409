"""The photos and images that the sampler gave classes with many, medium and few photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.canvas import Canvas
from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.histories import GROUPS

# from the plentiful classes, pale, to the tail, dark
COLOURS = ("#c9d3dd", "#7d96ad", "#5b2a86")


class SamplerSharesChart(ReportChart):
    """Stacked columns, one an epoch, in a panel for each strategy."""

    id = "sampler_shares"
    order = 65
    title = "What the sampler gave each group"
    columns: ClassVar[Mapping[str, str]] = {
        **STRATEGY,
        "epoch": "epoch",
        "group": "classes",
        "share": "share (%)",
    }
    per_strategy = True
    figure = "sampler_shares"

    def rows(self, comparison: Comparison) -> Rows:
        return comparison.histories.groups()

    def about(self, comparison: Comparison) -> str:
        return (
            "Share of the training photos and images of every epoch that belong to classes with"
            " many, medium and few real photos, mean over seeds. A medium class gains nothing from"
            " a curriculum that gives it nothing: hard_rule.max_class_images says who is given"
            " images."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        last = max(row["epoch"] for row in canvas.rows)
        epochs = alt.Scale(domain=[0.5, last + 0.5], nice=False)
        percents = alt.Scale(domain=[0, 100])
        legend = alt.Legend(orient="top", title=None, symbolOpacity=1)
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
                fill=alt.Fill(
                    field="group",
                    type="nominal",
                    scale=alt.Scale(domain=list(GROUPS), range=list(COLOURS)),
                    legend=legend,
                ),
                tooltip=canvas.tooltip(
                    {"epoch": "epoch", "group": "classes", "share": "share (%)"}
                ),
            )
        )
        return canvas.finish(columns, ("which",), 96)
