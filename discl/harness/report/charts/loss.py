"""Training loss over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.labels import with_names
from discl.harness.report.drawing.plots import curve
from discl.harness.report.drawing.reach import within_reach


class LossChart(ReportChart):
    """A curve a strategy."""

    id = "loss"
    order = 90
    title = "Training loss"
    columns: ClassVar[Mapping[str, str]] = {**STRATEGY, "epoch": "epoch", **INTERVAL, "n": "runs"}
    figure = "loss"

    def rows(self, comparison: Comparison) -> Rows:
        return with_names(within_reach(comparison.histories.loss(), times=0.5))

    def about(self, comparison: Comparison) -> str:
        return (
            "Mean training loss of an epoch, mean and 95 % band over seeds, of each epoch alone."
            " Strategies train on different images, so a lower loss is no better model."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        return curve(canvas, self.id, "loss")
