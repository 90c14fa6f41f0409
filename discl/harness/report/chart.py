"""A chart of the report: its rows, its drawing, and the sentence beside it.

Each module of `discl.harness.report.charts` defines one subclass of `ReportChart`; the page and the
figures for papers draw all of them.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from discl.harness.report import charts
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import Canvas
from discl.harness.report.drawing.reach import CUT_OFF, are_cut

# columns of the table a reader can open under a chart: field -> title
STRATEGY = {"strategy": "strategy"}
INTERVAL = {"mean": "mean", "low": "95 % from", "high": "to", "n": "seeds"}


class ReportChart(ABC):
    """One chart. A module with a subclass is all that a new chart needs."""

    id: ClassVar[str]  # also the name of its table in the page
    order: ClassVar[int]  # charts are shown in ascending order
    title: ClassVar[str]
    columns: ClassVar[Mapping[str, str]]  # field -> title, of the table under the chart
    choices: ClassVar[tuple[str, ...]] = ()  # choices of the page it follows
    row_height: ClassVar[int] = 0  # pixels of a row; 0 = the chart has a fixed height
    paper_row_height: ClassVar[int] = 0  # the same in print; 0 = as on the page
    per_strategy: ClassVar[bool] = False  # one panel for each strategy
    wide: ClassVar[bool] = False
    named: ClassVar[bool] = False  # whether its rows carry the strategies' names; else a key does
    intervals: ClassVar[tuple[str, ...]] = ("",)  # prefixes of the fields of its intervals
    cut_off: ClassVar[str] = CUT_OFF  # said where an interval runs on beyond the axis
    figure: ClassVar[str] = ""  # its name among the figures for papers; "" = it is not one of them

    @abstractmethod
    def rows(self, comparison: Comparison) -> Rows:
        """The rows it draws; the chart is left out where there are none."""

    @abstractmethod
    def about(self, comparison: Comparison) -> str:
        """A description of the chart, in sentences."""

    @abstractmethod
    def draw(self, canvas: Canvas) -> dict[str, Any]:
        """The Vega-Lite specification, without data."""

    def colours(self, rows: Rows) -> Mapping[str, str]:
        """Word -> CSS colour, where its colours stand for something else than strategies."""
        return {}

    def caption(self, comparison: Comparison) -> str:
        """The sentence beside the figure, which follows no choice of a reader."""
        return self.about(comparison)

    def with_cuts(self, about: str, rows: Rows) -> str:
        """A description of some rows, with a sentence where their intervals are not drawn whole."""
        return f"{about} {self.cut_off}" if are_cut(rows, self.intervals) else about


@dataclass(frozen=True)
class DrawnChart:
    """A chart with its rows and its specification."""

    kind: ReportChart
    about: str
    rows: Rows
    spec: dict[str, Any]

    @property
    def id(self) -> str:
        return self.kind.id

    @property
    def panels(self) -> list[str]:
        """Strategies that have a panel of their own."""
        return strategies_of(self.rows) if self.kind.per_strategy else []

    @property
    def colours(self) -> Mapping[str, str]:
        """Word -> CSS colour, of the key of a chart whose colours are not those of strategies."""
        return self.kind.colours(self.rows)

    @property
    def key(self) -> list[str]:
        """The strategies of the key beside the chart; none where the chart itself names them."""
        of_strategies = not (self.kind.named or self.panels or self.colours)
        return strategies_of(self.rows) if of_strategies else []

    @property
    def wide(self) -> bool:
        return self.kind.wide or len(self.panels) > 2


@cache
def all_charts() -> Sequence[ReportChart]:
    """Every chart of `discl.harness.report.charts`, in the order of the page."""
    kinds: list[type[ReportChart]] = []
    for module in pkgutil.iter_modules(charts.__path__, f"{charts.__name__}."):
        members = vars(importlib.import_module(module.name)).values()
        kinds += [
            member
            for member in members
            if isinstance(member, type)
            and issubclass(member, ReportChart)
            and member.__module__ == module.name
        ]
    return sorted((kind() for kind in kinds), key=lambda chart: chart.order)


def draw_charts(
    comparison: Comparison, *, paper: bool = False, checked: bool = False
) -> list[DrawnChart]:
    """Every chart that has data; with `paper` those that are figures, drawn for print.

    Vega-Lite's schema is `checked` by tests: that takes seconds, and no data can break it.
    """
    drawn = []
    for chart in all_charts():
        if paper and not chart.figure:
            continue
        if rows := chart.rows(comparison):
            canvas = Canvas(comparison, rows, paper=paper, checked=checked)
            about = chart.with_cuts(chart.about(comparison), rows)
            drawn.append(DrawnChart(chart, about, rows, chart.draw(canvas)))
    return drawn


def strategies_of(rows: Rows) -> list[str]:
    """The strategies of some rows, in their order."""
    return list(dict.fromkeys(row["strategy"] for row in rows))
