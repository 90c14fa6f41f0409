"""The mix of guidance levels that each strategy trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.epoch_columns import draw_epoch_columns
from discl.harness.report.drawing.style import level_words


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

    def colours(self, rows: Rows) -> Mapping[str, str]:
        return level_words(rows)

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        told = {"epoch": "epoch", "level": "level", "share": "share (%)"}
        return draw_epoch_columns(canvas, self.id, canvas.by_level("fill")["fill"], told)
