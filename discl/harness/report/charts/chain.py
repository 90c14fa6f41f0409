"""The gains of rebalancing, synthesis and order, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, labelled
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.plots import ROW_HEIGHT, forest
from discl.harness.report.drawing.reach import ARROWS, POINTS, within_reach
from discl.harness.report.headline import GainStep


class ChainChart(ReportChart):
    """A forest plot with a row for each step."""

    id = "chain"
    order = 10
    title = "Where the gain comes from"
    columns: ClassVar[Mapping[str, str]] = {"label": "step", **STRATEGY, "over": "over", **INTERVAL}
    choices = ("metric",)
    row_height = ROW_HEIGHT
    named = True
    cut_off = ARROWS
    figure = "chain"

    def rows(self, comparison: Comparison) -> Rows:
        """Metric x step; points."""
        rows = [
            {
                "metric": metric,
                "step": step.step,
                "strategy": step.strategy,
                "over": step.over,
                "label": _label(step),
                **labelled(step.gain, signed=True),
                "seeds": comparison.seeds_of(metric, step.strategy, step.over),
            }
            for metric, steps in comparison.gain_steps.items()
            for step in steps
        ]
        return within_reach(rows, self.choices, zero=True, least_room=POINTS)

    def about(self, comparison: Comparison) -> str:
        return (
            "Each line adds one thing: rebalancing the classes, then synthetic images of all levels"
            " at once, then an order of the levels. Dots are mean gains in points, pale"
            " dots the seeds', lines 95 % intervals that hold together over all pairs of rows. A"
            " line across zero tells nothing apart."
        )

    def caption(self, comparison: Comparison) -> str:
        title = comparison.board.columns[comparison.metric]
        return f"Gain, {title}. {self.about(comparison)}"

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        return forest(canvas, self.id, "label", self.choices)


def _label(step: GainStep) -> str:
    return f"{step.step} of {step.strategy}" if step.step == "order" else step.step
