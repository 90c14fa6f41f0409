"""Recall of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from discl.core.result import Result
from discl.harness.leaderboard import statistics
from discl.harness.report.canvas import Canvas
from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, interval

MOST_CLASSES = 40  # drawn one by one; more are drawn together, those of like many photos


class ClassBin(NamedTuple):
    """Classes that are drawn together."""

    name: str
    labels: list[int]
    photos: int  # real training photos of them


class ClassesChart(ReportChart):
    """A line a strategy, a column a class."""

    id = "classes"
    order = 50
    title = "Class by class"
    columns: ClassVar[Mapping[str, str]] = {
        **STRATEGY,
        "class": "class",
        "photos": "training photos",
        **INTERVAL,
    }
    wide = True
    figure = "classes"

    def rows(self, comparison: Comparison) -> Rows:
        """Strategy x class, most photos first, percent; without classes that test lacks."""
        bins = _bins(comparison.board.rows[0].results[0])
        rows = []
        for row in comparison.board.rows:
            if row.before:
                continue
            recalls = [np.array(result.class_recalls, np.float64) for result in row.results]
            for order, members in enumerate(bins):
                measured = [
                    recall[members.labels]
                    for recall in recalls
                    if not np.isnan(recall[members.labels]).all()
                ]
                if measured:
                    means = [float(np.nanmean(recall)) for recall in measured]
                    rows.append(
                        {
                            "strategy": row.strategy,
                            "class": members.name,
                            "order": order,
                            "photos": members.photos,
                            **interval(statistics.estimate(means)),
                        }
                    )
        return rows

    def about(self, comparison: Comparison) -> str:
        about = (
            "Recall of each class on the test photos, from the class with most real training photos"
            " to the one with fewest; mean over seeds. Classes without a test photo are left out."
        )
        if len(comparison.board.rows[0].results[0].classes) <= MOST_CLASSES:
            return about
        return (
            f"{about} There are many classes, so those with about as many photos are drawn"
            " together."
        )

    def draw(self, canvas: Canvas) -> dict[str, Any]:
        alt = canvas.alt
        base = canvas.shown(self.id)
        x = alt.X(
            field="class",
            type="nominal",
            sort=alt.EncodingSortField(field="order"),
            title=None,
            axis=alt.Axis(labelAngle=-38, labelLimit=120),
        )
        position = {"x": x, "y": canvas.recall("mean")}
        tips = {
            "class": "class",
            "photos": "training photos",
            "strategy": "strategy",
            "mean": "recall",
            "low": "from",
            "high": "to",
        }
        lines = base.mark_line(strokeWidth=1.2, opacity=0.55).encode(
            **position, **canvas.by_strategy("stroke")
        )
        return canvas.finish(lines + canvas.dots(base, position, tips, 55), ("hidden",), 280)


def _bins(first: Result) -> list[ClassBin]:
    """The classes of a result; of many, those with 2**k to 2**(k+1) - 1 photos together."""
    if len(first.classes) <= MOST_CLASSES:
        order = sorted(range(len(first.classes)), key=lambda label: -first.counts[label])
        return [ClassBin(first.classes[label], [label], first.counts[label]) for label in order]
    by_bits: dict[int, list[int]] = {}
    for label, photos in enumerate(first.counts):
        by_bits.setdefault(int(photos).bit_length(), []).append(label)
    return [_bin(bits, labels, first.counts) for bits, labels in sorted(by_bits.items())[::-1]]


def _bin(bits: int, labels: list[int], counts: Sequence[int]) -> ClassBin:
    low = 2 ** (bits - 1) if bits else 0
    high = 2**bits - 1
    photos = str(low) if low == high else f"{low} to {high}"
    classes = "1 class" if len(labels) == 1 else f"{len(labels)} classes"
    return ClassBin(f"{photos} photos ({classes})", labels, sum(counts[label] for label in labels))
