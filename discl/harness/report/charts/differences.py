"""Difference of each strategy to the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.leaderboard.statistics import PairedDifference
from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, labelled
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.plots import ROW_HEIGHT, forest
from discl.harness.report.drawing.reach import ARROWS, POINTS, within_reach


class DifferencesChart(ReportChart):
    """A forest plot with a row for each strategy."""

    id = "forest"
    order = 20
    title = "Against the baseline"
    columns: ClassVar[Mapping[str, str]] = {
        **STRATEGY,
        **INTERVAL,
        "p": "p",
        "p_holm": "p, Holm",
        "improvement": "P(better)",
    }
    choices = ("metric", "baseline")
    row_height = ROW_HEIGHT
    named = True
    cut_off = ARROWS
    figure = "differences"

    def rows(self, comparison: Comparison) -> Rows:
        """Baseline x metric x strategy, largest difference first; points."""
        rows = [
            {
                "strategy": name,
                "baseline": baseline,
                "metric": metric,
                **labelled(difference.mean, signed=True),
                "seeds": comparison.seeds_of(metric, name, baseline),
                "clear": difference.mean.excludes_zero(),
                "p": difference.p,
                "p_holm": difference.p_holm,
                "improvement": difference.improvement,
            }
            for baseline, by_metric in comparison.differences.items()
            for metric, by_strategy in by_metric.items()
            for name, difference in sorted(by_strategy.items(), key=_largest_first)
            if difference.mean.n
        ]
        return within_reach(rows, self.choices, zero=True, least_room=POINTS)

    def about(self, comparison: Comparison) -> str:
        return (
            "Difference of each strategy to the baseline in points, with an interval that holds"
            " together with those of all pairs of rows in 95 %. Pale dots are the seeds' own."
        )

    def caption(self, comparison: Comparison) -> str:
        title = comparison.board.columns[comparison.metric]
        return (
            f"Difference to {comparison.board.baselines[0]} by seed, {title}, points; lines are"
            " intervals that hold together over all pairs of rows in 95 %."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        return forest(canvas, self.id, "strategy", self.choices)


def _largest_first(named: tuple[str, PairedDifference]) -> float:
    mean = named[1].mean
    return -mean.mean if mean.n else 0.0
