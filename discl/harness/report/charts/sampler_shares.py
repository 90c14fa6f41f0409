"""The photos and images that the sampler gave classes with many, medium and few photos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.epoch_columns import draw_epoch_columns
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

    def colours(self, rows: Rows) -> Mapping[str, str]:
        return dict(zip(GROUPS, COLOURS, strict=True))

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        # on the page one key is for all panels
        legend = alt.Legend(orient="top", title=None, symbolOpacity=1) if canvas.paper else None
        colours = alt.Scale(domain=list(GROUPS), range=list(COLOURS))
        fill = alt.Fill(field="group", type="nominal", scale=colours, legend=legend)
        told = {"epoch": "epoch", "group": "classes", "share": "share (%)"}
        return draw_epoch_columns(canvas, self.id, fill, told)
