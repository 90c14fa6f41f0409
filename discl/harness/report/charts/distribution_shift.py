"""Accuracy on the in-distribution test photos against accuracy out of distribution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from discl.harness.report.chart import STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, interval
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.labels import with_sides
from discl.harness.report.drawing.reach import PERCENTS, POINTS, within_reach

HEIGHT = 280
INTERVALS = ("id_", "ood_")


class DistributionShiftChart(ReportChart):
    """A scatter plot with both intervals."""

    id = "scatter"
    order = 40
    title = "In and out of distribution"
    columns: ClassVar[Mapping[str, str]] = {
        **STRATEGY,
        "id_mean": "in distribution",
        "id_low": "from",
        "id_high": "to",
        "ood_mean": "out of distribution",
        "ood_low": "from",
        "ood_high": "to",
    }
    figure = "ood"
    intervals = INTERVALS

    def rows(self, comparison: Comparison) -> Rows:
        """One row a strategy, percent."""
        board = comparison.board
        ood = next((metric for metric, title in board.columns.items() if title == "ood"), None)
        if ood is None:
            return []
        rows = []
        for row in board.rows:
            near = interval(row.metrics[board.first].mean)
            far = interval(row.metrics[ood].mean)
            if near["n"] and far["n"]:
                numbers = {f"id_{key}": value for key, value in near.items()}
                numbers |= {f"ood_{key}": value for key, value in far.items()}
                rows.append({"strategy": row.strategy, **numbers})
        rows = within_reach(
            rows, intervals=INTERVALS, times=3.0, least_room=POINTS, bounds=PERCENTS
        )
        return with_sides(rows, _ends("id"), _ends("ood"), HEIGHT)

    def about(self, comparison: Comparison) -> str:
        return (
            "Accuracy on test photos from where the training photos come from, against test photos"
            " out of distribution; crosses are 95 % intervals."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        base = canvas.shown(self.id, intervals=INTERVALS)
        free = {"scale": canvas.alt.Scale(zero=False, padding=18)}
        board = canvas.comparison.board
        across = f"{board.columns[board.first]}, in distribution (%)"
        up = "out of distribution (%)"
        rule = base.mark_rule(opacity=0.5)
        horizontal = rule.encode(
            x=canvas.x("id_begin", across, **free),
            x2="id_end:Q",
            y=canvas.y("ood_mean", up),
            **canvas.by_strategy("stroke"),
        )
        vertical = rule.encode(
            x=canvas.x("id_mean", across),
            y=canvas.y("ood_begin", up, **free),
            y2="ood_end:Q",
            **canvas.by_strategy("stroke"),
        )
        position = {
            "x": canvas.x("id_mean", across, **free),
            "y": canvas.y("ood_mean", up, **free),
        }
        tips = {
            "strategy": "strategy",
            "id_mean": "in distribution",
            "ood_mean": "out of distribution",
            "id_n": "seeds",
        }
        dots = canvas.dots(base, position, tips, 110)
        names = canvas.names(base, position)
        drawn = canvas.alt.layer(horizontal, vertical, dots, *names)
        return canvas.finish(drawn, ("hidden",), HEIGHT)


def _ends(prefix: str) -> list[str]:
    return [f"{prefix}_{key}" for key in ("mean", "begin", "end")]
