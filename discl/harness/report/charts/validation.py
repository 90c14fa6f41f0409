"""The metric that chooses the epoch, over epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.labels import with_names
from discl.harness.report.drawing.plots import curve
from discl.harness.report.drawing.reach import PERCENTS, within_reach


class ValidationChart(ReportChart):
    """A curve a strategy."""

    id = "val"
    order = 80
    title = "Validation"
    columns: ClassVar[Mapping[str, str]] = {**STRATEGY, "epoch": "epoch", **INTERVAL, "n": "runs"}
    figure = "val"

    def rows(self, comparison: Comparison) -> Rows:
        return with_names(within_reach(comparison.histories.val(), times=0.5, bounds=PERCENTS))

    def about(self, comparison: Comparison) -> str:
        return (
            f"{comparison.histories.chosen} over epochs, mean and 95 % band over seeds, of each"
            " epoch alone; it chooses the epoch that is tested. Test photos choose nothing."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        return curve(canvas, self.id, f"{canvas.comparison.histories.chosen} (%)")
