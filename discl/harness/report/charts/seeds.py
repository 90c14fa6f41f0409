"""What every seed scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.leaderboard.table import BoardRow
from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import MOST_SEEDS, Comparison, Rows, labelled
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.plots import ROW_HEIGHT, forest
from discl.harness.report.drawing.reach import ARROWS, PERCENTS, POINTS, within_reach


class SeedsChart(ReportChart):
    """A row for each strategy: a pale dot for each seed, the mean and its interval."""

    id = "seeds"
    order = 15
    title = "Seed by seed"
    columns: ClassVar[Mapping[str, str]] = {**STRATEGY, **INTERVAL}
    choices = ("metric",)
    row_height = ROW_HEIGHT
    named = True
    cut_off = ARROWS
    figure = "seeds"

    def rows(self, comparison: Comparison) -> Rows:
        """Metric x strategy, best first, percent."""
        rows = [
            {
                "strategy": row.strategy,
                "metric": metric,
                **labelled(row.metrics[metric].mean, signed=False),
                "seeds": comparison.seeds_of(metric, row.strategy),
            }
            for metric in comparison.board.columns
            for row in _best_first(comparison, metric)
        ]
        return within_reach(rows, self.choices, least_room=POINTS, bounds=PERCENTS)

    def about(self, comparison: Comparison) -> str:
        about = (
            "Every pale dot is a seed, the mark is their mean, and the line its 95 % interval."
            " Where the dots of two strategies mix, another seed may turn their order round."
        )
        if any(len(row.seeds) > MOST_SEEDS for row in comparison.board.rows):
            return f"{about} The first {MOST_SEEDS} seeds are drawn."
        return about

    def caption(self, comparison: Comparison) -> str:
        return f"Percent, {comparison.board.columns[comparison.metric]}. {self.about(comparison)}"

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        return forest(canvas, self.id, "strategy", self.choices, signed=False)


def _best_first(comparison: Comparison, metric: str) -> list[BoardRow]:
    """The rows that have a metric."""
    sign = 1 if metric in comparison.board.lower_is_better else -1
    rows = [row for row in comparison.board.rows if row.metrics[metric].mean.n]
    return sorted(rows, key=lambda row: sign * row.metrics[metric].mean.mean)
