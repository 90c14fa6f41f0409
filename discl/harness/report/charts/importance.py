"""Chart of the settings that distinguish the best trials of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas

BAR_HEIGHT = 22
LEAST_HEIGHT = 160


class ImportanceChart(ReportChart):
    """Bars of settings, one a study."""

    id = "importance"
    order = 120
    title = "What tuning turned on"
    columns: ClassVar[Mapping[str, str]] = {
        "study": "study",
        **STRATEGY,
        "path": "setting",
        "share": "share (%)",
    }

    def rows(self, comparison: Comparison) -> Rows:
        return comparison.tuning_rows.get("importance", [])

    def about(self, comparison: Comparison) -> str:
        return (
            "Settings that separate the best trials from the rest (PED-ANOVA): a hint about the"
            " space as it was searched, no more."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        base = canvas.table(self.id).transform_filter("indexof(hidden, datum.strategy) < 0")
        tips = {"path": "setting", "strategy": "strategy", "share": "share (%)", "study": "study"}
        bars = base.mark_bar(cornerRadiusEnd=2).encode(
            y=alt.Y(
                field="path", type="nominal", sort="-x", title=None, axis=alt.Axis(labelLimit=150)
            ),
            # sorted by a number, as in the chart of groups
            yOffset=alt.YOffset(
                field="study", type="nominal", sort=alt.EncodingSortField(field="share", op="max")
            ),
            x=canvas.x("share", "share (%)"),
            **canvas.by_strategy("fill"),
            tooltip=canvas.tooltip(tips),
        )
        count = len({(row["path"], row["study"]) for row in canvas.rows})
        return canvas.finish(bars, ("hidden",), max(LEAST_HEIGHT, BAR_HEIGHT * count))
