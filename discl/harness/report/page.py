"""The report as one self-contained HTML page.

Its text is in `page.html`, its style in `page.css`, its script in `page.js`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from markupsafe import Markup

from discl.core.text import listed
from discl.harness.html import template, text, unbroken
from discl.harness.leaderboard.wording import cell, percent, placed
from discl.harness.report.comparison import Rows
from discl.harness.report.drawing.canvas import css_colour, css_variable
from discl.harness.report.drawing.style import plot_styles
from discl.harness.report.section import Section
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


# ---------------------------------------------------------------- the page


def page(sections: Sequence[Section], library: str) -> str:
    """The whole page; nothing is fetched, every word is escaped, and only its own two scripts run.

    `library` is the JavaScript that draws.
    """
    filters: dict[str, Callable[..., Any]] = {
        "placed": placed,
        "cell": cell,
        "number": percent,
        "signed": partial(percent, signed=True),
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
    """Escaped text; words between back ticks become code, and `unbroken`."""
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(unbroken(text)))
    return Markup(coded)  # noqa: S704


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
