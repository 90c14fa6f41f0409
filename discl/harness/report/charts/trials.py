"""The score of each trial of a study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas


class TrialsChart(ReportChart):
    """A dot a trial, and the best so far as steps."""

    id = "trials"
    order = 110
    title = "Tuning, trial by trial"
    columns: ClassVar[Mapping[str, str]] = {
        "study": "study",
        **STRATEGY,
        "trial": "trial",
        "state": "state",
        "value": "objective",
        "best": "best so far",
    }

    def rows(self, comparison: Comparison) -> Rows:
        return comparison.tuning_rows.get("trials", [])

    def about(self, comparison: Comparison) -> str:
        return (
            "What each trial of a study scored on val, and the best so far; pale ones were given"
            " up, and their value is an estimate."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        base = canvas.table(self.id).transform_filter("indexof(hidden, datum.strategy) < 0")
        free = {"scale": alt.Scale(zero=False)}
        x = canvas.x("trial", "trial", axis=alt.Axis(tickMinStep=1, grid=False))
        best = (
            base.transform_filter("isValid(datum.best)")
            .mark_line(interpolate="step-after", strokeWidth=2)
            .encode(
                x=x,
                y=canvas.y("best", "objective", **free),
                detail=alt.Detail(field="study", type="nominal"),
                **canvas.by_strategy("stroke", "strokeDash"),
            )
        )
        tips = {
            "strategy": "strategy",
            "trial": "trial",
            "state": "state",
            "value": "value",
            "study": "study",
        }
        dots = base.mark_point(size=40, filled=True).encode(
            x=x,
            y=canvas.y("value", "objective", **free),
            opacity=alt.condition("datum.state === 'complete'", alt.value(0.9), alt.value(0.3)),
            **canvas.by_strategy("fill", "shape"),
            tooltip=canvas.tooltip(tips),
        )
        return canvas.finish(best + dots, ("hidden",), 260)
