"""The report as one self-contained HTML page.

Its text is in `page.html`, its style in `page.css`, its script in `page.js`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from discl.core.conventions import other_rule
from discl.core.text import listed
from discl.engine.evaluation.metrics import definitions
from discl.harness.html import template, text
from discl.harness.leaderboard.paper_results import PaperResults
from discl.harness.leaderboard.power import of_first_two
from discl.harness.leaderboard.statistics import PairedDifference, SeedSummary
from discl.harness.leaderboard.table import Board
from discl.harness.leaderboard.wording import (
    cell,
    old_rows,
    percent,
    placed,
    reading,
    source_of_error,
    warning,
)
from discl.harness.report.canvas import css_colour, css_variable
from discl.harness.report.chart import DrawnChart, draw_charts
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.style import level_colours, plot_styles
from discl.harness.run.result_parts import metrics_of_result
from discl.version import __version__

SYMBOL_PATHS = {  # SVG paths of a circle of radius 1 and the other shapes, as Vega draws them
    "circle": "M0,-1A1,1 0 1 1 -0.01,-1Z",
    "square": "M-.86,-.86H.86V.86H-.86Z",
    "diamond": "M0,-1.15L.9,0L0,1.15L-.9,0Z",
    "cross": "M-.4,-1H.4V-.4H1V.4H.4V1H-.4V.4H-1V-.4H-.4Z",
    "triangle-up": "M0,-1L1,.85H-1Z",
    "triangle-down": "M0,1L1,-.85H-1Z",
    "triangle-right": "M1,0L-.85,1V-1Z",
    "triangle-left": "M-1,0L.85,1V-1Z",
}


@dataclass(frozen=True)
class Section:
    """One benchmark of the page."""

    comparison: Comparison
    gallery: Any = None  # images of the bank, where it is on this machine
    failures: Sequence[Any] = ()
    tuning: Any = None
    notes: Sequence[str] = ()  # what is not shown, and why
    source: str = ""  # the command that made it
    charts: list[DrawnChart] = field(default_factory=list)

    @property
    def board(self) -> Board:
        return self.comparison.board

    @property
    def id(self) -> str:
        return f"{self.board.benchmark}-{self.board.scale}"

    @property
    def number_of_seeds(self) -> str:
        n = len(self.board.declared_seeds)
        return f"{n} seed{'s' if n > 1 else ''}"

    @property
    def smallest_p(self) -> str:
        return f"; with {self.number_of_seeds} none can be below {self.board.smallest_p:.3g}"

    @property
    def reading(self) -> str:
        return reading(self.board)

    @property
    def warning(self) -> str:
        """Where the sign of a difference hangs on the epoch that is read."""
        return warning(self.board)

    @property
    def beside(self) -> dict[str, str]:
        """Metric -> title of a column with the numbers of the other epoch."""
        short = other_rule(self.board.rule).short
        return {metric: f"{self.board.columns[metric]}, {short}" for metric in self.board.other}

    @property
    def source_of_error(self) -> str:
        sentences = (source_of_error(self.board), old_rows(self.board))
        return " ".join(filter(None, sentences))

    @property
    def power(self) -> dict[str, str]:
        """Metric -> how many seeds would tell its best two rows apart, where two have it."""
        found = {metric: of_first_two(self.board, metric) for metric in self.board.columns}
        return {metric: sentence for metric, sentence in found.items() if sentence}

    @property
    def published(self) -> Sequence[PaperResults]:
        return self.board.papers

    @property
    def costs(self) -> list[str]:
        """The costs of a run that a reader can choose from."""
        return list(dict.fromkeys(row["cost"] for row in self._rows("costs")))

    @property
    def levels(self) -> dict[int, str]:
        """Level -> colour, of the levels that a chart shows."""
        rows = [*self._rows("levels"), *self._rows("gains")]
        return level_colours(sorted({row["level"] for row in rows}))

    def _rows(self, chart: str) -> Rows:
        return next((drawn.rows for drawn in self.charts if drawn.id == chart), [])

    @property
    def definitions(self) -> dict[str, str]:
        """Metric -> definition, of the metrics that the runs measured."""
        first = self.board.rows[0].results[0]
        measured = {
            key for row in self.board.rows for result in row.results[:1] for key in result.metrics
        }
        return definitions(measured, np.array(first.counts), metrics_of_result(first))

    @property
    def compared(self) -> list[dict[str, Any]]:
        """Rows of the table of differences, for every baseline and metric."""
        board_rows = {row.strategy: row for row in self.board.rows}
        return [
            {
                "strategy": name,
                "metric": metric,
                "baseline": baseline,
                "complete": board_rows[name].complete,
                "cells": _cells(difference, board_rows[name].metrics[metric]),
            }
            for baseline, by_metric in self.comparison.differences.items()
            for metric, by_strategy in by_metric.items()
            for name, difference in sorted(by_strategy.items(), key=_largest_first)
        ]

    @property
    def runs(self) -> list[dict[str, Any]]:
        """Rows of the table of runs."""
        return [
            {
                "id": result.id,
                "strategy": result.strategy,
                "seed": result.seed,
                "epoch": result.chosen_epoch + 1,
                "minutes": f"{result.cost['seconds'] / 60:.1f}",
                "commit": result.provenance.get("commit", "?"),
                "command": result.provenance.get("command", "-"),
            }
            for row in self.board.rows
            for result in row.results
        ]


def _largest_first(named: tuple[str, PairedDifference]) -> float:
    mean = named[1].mean
    return -mean.mean if mean.n else 1.0


def _cells(difference: PairedDifference, summary: SeedSummary) -> list[tuple[Any, str]]:
    """(value to sort by, text) of every column."""
    gain = difference.mean
    star = "*" if gain.excludes_zero() else ""
    middles = [
        (f"{100 * estimate.mean:.6g}" if estimate.n else "", percent(estimate))
        for estimate in (summary.median, summary.iqm)
    ]
    return [
        (f"{100 * gain.mean:.6g}", percent(gain, signed=True) + star) if gain.n else ("", "-"),
        _cell(difference.p, "{:.3g}"),
        _cell(difference.p_holm, "{:.3g}"),
        _cell(difference.improvement if gain.n > 1 else None, "{:.2f}"),
        *middles,
        _cell(summary.seed_sd, "{:.1f}", 100),
        _cell(summary.test_se, "{:.1f}", 100),
    ]


def _cell(value: float | None, text: str, scale: float = 1.0) -> tuple[Any, str]:
    return ("", "-") if value is None else (f"{scale * value:.6g}", text.format(scale * value))


def draw_section(comparison: Comparison, **more: Any) -> Section:
    """A section with its charts drawn; `more` are the other fields of Section."""
    if tuning := more.get("tuning"):
        comparison = replace(comparison, tuning_rows=tuning.tables)
    return Section(comparison, charts=draw_charts(comparison), **more)


# ---------------------------------------------------------------- the page


def page(sections: Sequence[Section], library: str) -> str:
    """The whole page; nothing is fetched, every word is escaped, and only its own two scripts run.

    `library` is the JavaScript that draws.
    """
    filters: dict[str, Callable[..., Any]] = {
        "placed": placed,
        "cell": cell,
        "number": percent,
        "variable": css_variable,
        "ticks": ticks,
    }
    script = text("report/page.js")
    names = [name for section in sections for name in section.comparison.strategies]
    names += [name for section in sections for name in section.comparison.tuned_strategies]
    styles = plot_styles(names)
    sources = dict.fromkeys(section.source for section in sections if section.source)
    return template("report/page.html", filters).render(
        sections=sections,
        title=f"{listed(section.board.title for section in sections)}: report",
        version=__version__,
        styles=styles,
        shape=lambda name: SYMBOL_PATHS[styles[name].shape],
        colour=css_colour,
        policy=_policy(library, script),
        style=Markup(text("report/page.css")),  # noqa: S704 - our own file
        facts_json=embedded({"benches": [_for_script(section) for section in sections]}),
        library=Markup(library),  # noqa: S704 - what vl-convert carries
        script=Markup(script),  # noqa: S704 - our own file
        origin=f"Made by discl {__version__}: {'; '.join(sources)}",
    )


def _for_script(section: Section) -> dict[str, Any]:
    """The facts that the page's script draws from."""
    comparison = section.comparison
    return {
        "titles": section.board.columns,
        "choice": {"metric": comparison.metric, "baseline": "", "cost": ""},
        "charts": [
            {
                "id": chart.id,
                "spec": chart.spec,
                "columns": chart.kind.columns,
                "by": chart.kind.choices,
                "row": chart.kind.row_height,
                "each": bool(chart.panels),
            }
            for chart in section.charts
        ],
        "tables": {chart.id: _compact(chart.rows) for chart in section.charts},
    }


def _compact(rows: Rows) -> dict[str, list[Any]]:
    """A table without the names of its fields in every row."""
    fields = list(rows[0])
    return {"fields": fields, "rows": [[row[name] for name in fields] for row in rows]}


def embedded(value: Any) -> Markup:
    """JSON that can stand in a script element: none of its letters ends the element or a line."""
    # ASCII: U+2028 and its like are escaped
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate({ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}))  # noqa: S704


def ticks(text: str) -> Markup:
    """Escaped text; words between back ticks become code, and no line breaks at a plus-minus."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(coded.replace(" ± ", "&nbsp;±&nbsp;"))  # noqa: S704


def _policy(*scripts: str) -> str:
    """A content security policy: nothing is fetched, and only these scripts run."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
