"""The report as one self-contained HTML page: its text is in `page.html`, its looks in `page.css`,
what moves in `page.js`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from discl.config.benchmark import MetricsTable
from discl.engine.evaluation.metrics import definitions
from discl.harness.html import template, text
from discl.harness.leaderboard.paper_results import Published, published
from discl.harness.leaderboard.statistics import Difference, Summary
from discl.harness.leaderboard.table import Board, percent, placed, reading, source_of_error
from discl.harness.report.charts import Chart, charts
from discl.harness.report.style import level_colours, looks
from discl.harness.report.tables import Facts, Rows, tables
from discl.harness.report.vega import colour, variable
from discl.version import __version__

PATHS = {  # of a circle of radius 1 and its fellows, as Vega draws them
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

    facts: Facts
    gallery: Any = None  # images of the bank, where it is here
    failures: Sequence[Any] = ()
    tuning: Any = None
    notes: Sequence[str] = ()  # what is not shown, and why
    source: str = ""
    tables: dict[str, Rows] = field(default_factory=dict)
    charts: list[Chart] = field(default_factory=list)

    @property
    def board(self) -> Board:
        return self.facts.board

    @property
    def id(self) -> str:
        return f"{self.board.benchmark}-{self.board.scale}"

    @property
    def seeds_said(self) -> str:
        n = len(self.board.declared_seeds)
        return f"{n} seed{'s' if n > 1 else ''}"

    @property
    def least_p(self) -> str:
        return f"; with {self.seeds_said} none can be below {self.board.smallest_p:.3g}"

    @property
    def reading(self) -> str:
        return reading(self.board)

    @property
    def errors_said(self) -> str:
        return source_of_error(self.board)

    @property
    def published(self) -> list[Published]:
        return published(self.board.benchmark)

    @property
    def tuned(self) -> list[str]:
        return list(dict.fromkeys(row["strategy"] for row in self.tables.get("trials", [])))

    @property
    def costs(self) -> list[str]:
        return list(dict.fromkeys(row["cost"] for row in self.tables.get("costs", [])))

    @property
    def levels(self) -> dict[int, str]:
        return level_colours(
            sorted(
                {row["level"] for name in ("levels", "gains") for row in self.tables.get(name, [])}
            )
        )

    @property
    def definitions(self) -> dict[str, str]:
        first = self.board.rows[0].results[0]
        import numpy as np

        spoken = {
            key for row in self.board.rows for result in row.results[:1] for key in result.metrics
        }
        return definitions(
            spoken, np.array(first.counts), MetricsTable(**first.identity.get("metrics", {}))
        )

    @property
    def compared(self) -> list[dict[str, Any]]:
        """Rows of the table of differences, for every baseline and metric."""
        rows = {row.strategy: row for row in self.board.rows}
        return [
            {"strategy": name, "metric": metric, "baseline": base, "complete": rows[name].complete}
            | {"cells": _cells(one, rows[name].metrics[metric])}
            for base, by_metric in self.facts.differences.items()
            for metric, found in by_metric.items()
            for name, one in sorted(
                found.items(), key=lambda each: -each[1].mean.mean if each[1].mean.n else 1.0
            )
        ]

    @property
    def runs(self) -> list[dict[str, Any]]:
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


def _cells(one: Difference, summary: Summary) -> list[tuple[Any, str]]:
    """(value to sort by, text) of every column."""

    def cell(value: float | None, text: str, scale: float = 1.0) -> tuple[Any, str]:
        return ("", "-") if value is None else (f"{scale * value:.6g}", text.format(scale * value))

    star = "*" if one.mean.excludes_zero() else ""
    gain = (
        (f"{100 * one.mean.mean:.6g}", percent(one.mean, signed=True) + star)
        if one.mean.n
        else ("", "-")
    )
    middles = [
        (f"{100 * each.mean:.6g}" if each.n else "", percent(each))
        for each in (summary.median, summary.iqm)
    ]
    return [
        gain,
        cell(one.p, "{:.3g}"),
        cell(one.p_holm, "{:.3g}"),
        cell(one.improvement if one.mean.n > 1 else None, "{:.2f}"),
        *middles,
        cell(summary.seed_sd, "{:.1f}", 100),
        cell(summary.test_se, "{:.1f}", 100),
    ]


def section(facts: Facts, **more: Any) -> Section:
    """A section with its charts drawn up."""
    rows = tables(facts) | (more["tuning"].tables if more.get("tuning") else {})
    return Section(facts, tables=rows, charts=charts(facts, rows), **more)


# ---------------------------------------------------------------- the page


def page(sections: Sequence[Section], library: str) -> str:
    """The whole page; nothing is fetched, every word is escaped, and only its own two scripts run."""
    filled = template(
        "report/page.html",
        {"placed": placed, "number": percent, "variable": variable, "ticks": ticks},
    )
    script = text("report/page.js")
    found = looks(
        [
            *(name for each in sections for name in each.facts.strategies),
            *(name for each in sections for name in each.tuned),
        ]
    )
    return filled.render(
        sections=sections,
        title=" and ".join(each.board.title for each in sections) + ": report",
        version=__version__,
        looks=found,
        shape=lambda name: PATHS[found[name].shape],
        colour=colour,
        policy=_policy(library, script),
        style=Markup(text("report/page.css")),  # noqa: S704
        facts_json=embedded({"benches": [_told(each) for each in sections]}),
        library=Markup(library),
        script=Markup(script),  # noqa: S704
        made=f"Made by discl {__version__}: {'; '.join(dict.fromkeys(each.source for each in sections if each.source))}",
    )


def _told(one: Section) -> dict[str, Any]:
    """What the page's script gets."""
    drawn = [
        {name: getattr(each, name) for name in ("id", "data", "spec", "columns", "by", "row")}
        | {"each": bool(each.each)}
        for each in one.charts
    ]
    choice = {"metric": one.facts.metric, "baseline": "", "cost": ""}
    return {
        "titles": one.board.columns,
        "choice": choice,
        "charts": drawn,
        "tables": {name: _compact(rows) for name, rows in one.tables.items()},
    }


def _compact(rows: Rows) -> dict[str, list[Any]]:
    """A table without the names of its fields in every row."""
    fields = list(rows[0])
    return {"fields": fields, "rows": [[row[name] for name in fields] for row in rows]}


def embedded(value: Any) -> Markup:
    """JSON that can stand in a script element, whatever the names in it: no letter of it can end
    the element, a line or a comment.
    """
    text = json.dumps(
        value, allow_nan=False, separators=(",", ":")
    )  # ASCII: U+2028 and its like are escaped
    return Markup(text.translate({ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&"}))  # noqa: S704


def ticks(text: str) -> Markup:
    """Escaped; what stands between back ticks as code, and no line ends at a plus-minus."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(coded.replace(" ± ", "&nbsp;±&nbsp;"))  # noqa: S704


def _policy(*scripts: str) -> str:
    """Nothing from anywhere; pictures that are inside; these scripts and no other."""
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(each.encode()).digest()).decode()}'"
        for each in scripts
    )
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:;"
        " base-uri 'none'; form-action 'none'"
    )
