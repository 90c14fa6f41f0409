"""Recall of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from discl.core.result import Result
from discl.core.text import counted
from discl.harness.leaderboard import statistics
from discl.harness.report.chart import INTERVAL, STRATEGY, ReportChart
from discl.harness.report.comparison import Comparison, Rows, interval
from discl.harness.report.drawing.canvas import Canvas

MOST_CLASSES = 30  # drawn one by one; more are drawn together, those of like many photos
LABEL = 104  # most pixels of a class's name
LEAST_LINE = 12  # pixels of a class that has room for its name


class ClassBin(NamedTuple):
    """Classes that are drawn together."""

    name: str
    labels: list[int]
    photos: int  # real training photos of them


class ClassesChart(ReportChart):
    """A block of lines for each class: the strategies, dot and interval."""

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
    row_height = 9
    paper_row_height = 6
    figure = "classes"

    def rows(self, comparison: Comparison) -> Rows:
        """Strategy x class, most photos first, percent; without classes that test lacks."""
        bins = _bins(comparison.board.rows[0].results[0])
        rows: Rows = []
        for row in comparison.board.rows:
            if row.before:
                continue
            recalls = np.array([result.class_recalls for result in row.results], np.float64)
            rank = len({each["strategy"] for each in rows})
            for order, members in enumerate(bins):
                of_bin = recalls[:, members.labels]
                measured = of_bin[~np.isnan(of_bin).all(axis=1)]
                if len(measured):
                    means = np.nanmean(measured, axis=1).tolist()
                    rows.append(
                        {
                            "strategy": row.strategy,
                            "class": members.name,
                            "order": order,
                            "rank": rank,
                            "photos": members.photos,
                            **interval(statistics.estimate(means)),
                        }
                    )
        return rows

    def about(self, comparison: Comparison) -> str:
        about = (
            "Recall of each class on the test photos, from the class with most real training photos"
            " to the one with fewest; mean and 95 % interval over seeds."
            " Classes without a test photo are left out."
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
        strategies = len({row["strategy"] for row in canvas.rows})
        height_px = strategies * (self.paper_row_height if canvas.paper else self.row_height)
        axis = {"labelLimit": LABEL, "grid": True, "tickBand": "extent", "ticks": False}
        if height_px >= LEAST_LINE:  # else Vega leaves some names out
            axis["labelOverlap"] = False
        position = {
            "y": alt.Y(
                field="class",
                type="nominal",
                sort=alt.EncodingSortField(field="order", op="min"),
                title=None,
                scale=alt.Scale(paddingInner=0.18, paddingOuter=0.09),
                axis=alt.Axis(**axis),
            ),
            # sorted by a number, as in the chart of groups
            "yOffset": alt.YOffset(
                field="strategy",
                type="nominal",
                sort=alt.EncodingSortField(field="rank", op="min"),
            ),
        }
        tips = {
            "class": "class",
            "photos": "training photos",
            "strategy": "strategy",
            "mean": "recall",
            "low": "from",
            "high": "to",
        }
        intervals = base.mark_rule(strokeWidth=1.6, opacity=0.7).encode(
            **position,
            x=canvas.recall_across("low"),
            x2="high:Q",
            **canvas.by_strategy("stroke"),
        )
        dots = canvas.dots(base, {**position, "x": canvas.recall_across("mean")}, tips, 30)
        height = self.row_height * len(canvas.rows)
        return canvas.finish(intervals + dots, ("hidden",), height)


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
    noun = "photo" if photos == "1" else "photos"
    classes = counted(len(labels), "class", "classes")
    return ClassBin(f"{photos} {noun} ({classes})", labels, sum(counts[label] for label in labels))
