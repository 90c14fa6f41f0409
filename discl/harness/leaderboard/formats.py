"""A board as text for people, papers and programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from discl.harness.leaderboard.paper_results import Published, published
from discl.harness.leaderboard.statistics import Estimate, PairedDifference, SeedSummary
from discl.harness.leaderboard.table import (
    Board,
    BoardRow,
    columns_of_differences,
    comparability_line,
    header,
    lines,
    placed,
    reading,
    source_of_error,
)


def as_markdown(made: Board) -> str:
    """The table, what its numbers mean, how to make them again, and what papers report."""
    return "\n".join(
        [
            f"## {made.title}, scale `{made.scale}`",
            "",
            f"`{made.command}`",
            "",
            *_markdown_table(header(made), lines(made)),
            "",
            " ".join(filter(None, (reading(made), source_of_error(made)))),
            "",
            (
                f"Comparability key: {comparability_line(made)}. Code: {'; '.join(made.code)}."
                f" Hardware: {'; '.join(made.hardware)}."
            ),
            "",
            *(line for table in published(made.benchmark) for line in _published_markdown(table)),
        ]
    )


def _published_markdown(table: Published) -> list[str]:
    rows = [[method, *cells] for method, cells in table.rows]
    return [
        f"**{table.of}** ({table.source}; {table.warning}), percent:",
        "",
        *_markdown_table(["method", *table.titles], rows),
        "",
    ]


def _markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(_in_markdown(cell) for cell in cells) + " |"

    return [line(titles), "|" + " --- |" * len(titles), *map(line, rows)]


def _in_markdown(cell: str) -> str:
    """A cell that can neither end its column nor be read as HTML."""
    return cell.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


# ---------------------------------------------------------------- for papers

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
}
_LATEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def as_latex(made: Board) -> str:
    """A booktabs table; the best complete row of each column is bold."""
    titles = header(made)
    best = _best(made)
    body = []
    for row, cells in zip(made.rows, lines(made), strict=True):
        shown = [_in_latex(cell) for cell in cells]
        for place, metric in enumerate(made.columns, 3):
            if row.complete and best.get(metric) == row.strategy:
                shown[place] = rf"\textbf{{{shown[place]}}}"
        body.append(" & ".join(shown) + r" \\")
    head = [
        f"% {made.command}",
        f"% comparability: {json.dumps(made.comparability, sort_keys=True)}",
        r"\begin{tabular}{rl" + "r" * (len(titles) - 2) + "}",
        r"\toprule",
    ]
    return "\n".join(
        [
            *head,
            " & ".join(map(_in_latex, titles)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _best(made: Board) -> dict[str, str]:
    """Metric -> the complete row with the highest mean."""
    complete = [row for row in made.rows if row.complete]
    held = {
        metric: [row for row in complete if row.metrics[metric].mean.n] for metric in made.columns
    }
    return {
        metric: max(rows, key=lambda row: row.metrics[metric].mean.mean).strategy
        for metric, rows in held.items()
        if rows
    }


def _in_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)


# ---------------------------------------------------------------- for programs

_CSV = (
    *(
        "benchmark",
        "scale",
        "strategy",
        "complete",
        "place",
        "metric",
        "title",
        "n",
        "mean",
        "half_width",
        "median",
        "iqm",
        "seed_sd",
        "test_se",
    ),
    *("baseline", "difference", "difference_half_width", "p", "p_holm", "improvement"),
)


def as_csv(made: Board) -> str:
    """One line a strategy and metric, and one more for each baseline it is compared with;
    fractions.
    """
    out = io.StringIO()
    writer = csv.DictWriter(out, _CSV, lineterminator="\n", restval="")
    writer.writeheader()
    for row in made.rows:
        for metric in made.columns:
            for compared in _compared(row, metric):
                writer.writerow({**_csv_head(made, row, metric), **compared})
    return out.getvalue()


def _csv_head(made: Board, row: BoardRow, metric: str) -> dict[str, Any]:
    found = row.metrics[metric]
    told = {"n": found.mean.n, "seed_sd": found.seed_sd, "test_se": found.test_se}
    if found.mean.n:
        told |= {
            "mean": found.mean.mean,
            "half_width": found.mean.half_width,
            "median": found.median.mean,
            "iqm": found.iqm.mean,
        }
    head = {
        "benchmark": made.benchmark,
        "scale": made.scale,
        "strategy": _no_formula(row.strategy),
        "complete": row.complete,
    }
    return {**head, "place": placed(row), "metric": metric, "title": made.columns[metric], **told}


def _no_formula(text: str) -> str:
    """A spreadsheet would compute what begins like a formula."""
    return "'" + text if re.match(r"[=+\-@\t\r]", text) else text


def _compared(row: BoardRow, metric: str) -> list[dict[str, Any]]:
    found = [(base, by[metric]) for base, by in row.differences.items() if metric in by]
    return [
        {
            "baseline": base,
            "difference": one.mean.mean,
            "difference_half_width": one.mean.half_width,
        }
        | {"p": one.p, "p_holm": one.p_holm, "improvement": one.improvement}
        for base, one in found
        if one.mean.n
    ] or [{}]


def as_json(made: Board) -> str:
    """The board for programs, with the comparability key of every row; fractions."""
    rows = [
        {
            "strategy": row.strategy,
            "seeds": row.seeds,
            "complete": row.complete,
            "places": row.places,
            "cost": row.cost,
            "metrics": {
                metric: _summary(found) for metric, found in row.metrics.items() if found.mean.n
            },
            "differences": {
                base: {metric: _difference(one) for metric, one in by.items() if one.mean.n}
                for base, by in row.differences.items()
            },
            "runs": [_run(result) for result in row.results],
        }
        for row in made.rows
    ]
    head = {
        "benchmark": made.benchmark,
        "scale": made.scale,
        "seeds": made.declared_seeds,
        "command": made.command,
        "comparability": made.comparability,
        "code": made.code,
        "hardware": made.hardware,
        "columns": made.columns,
        "smallest_p": made.smallest_p,
        "reading": reading(made),
        "published": [
            asdict(table) | {"warning": table.warning} for table in published(made.benchmark)
        ],
    }
    return json.dumps({**head, "rows": rows}, indent=1, allow_nan=False) + "\n"


def _summary(found: SeedSummary) -> dict[str, Any]:
    return {
        **found.mean._asdict(),
        "median": _interval(found.median),
        "iqm": _interval(found.iqm),
        "seed_sd": found.seed_sd,
        "test_se": found.test_se,
    }


def _interval(found: Estimate) -> dict[str, Any]:
    return {"value": found.mean, "half_width": found.half_width}


def _difference(found: PairedDifference) -> dict[str, Any]:
    return {
        **found.mean._asdict(),
        "p": found.p,
        "p_holm": found.p_holm,
        "improvement": found.improvement,
    }


def _run(result: Any) -> dict[str, Any]:
    said = result.provenance
    return {
        "id": result.id,
        "seed": result.seed,
        "command": said.get("command"),
        "commit": said.get("commit"),
        "device": said.get("device"),
        "predictions": result.predictions,
    }


# ---------------------------------------------------------------- for a browser


def as_html(made: Board) -> str:
    """One page with the table alone; `discl report` makes the whole story."""
    from discl.harness.html import template  # jinja2: nobody else here needs it

    about = {
        "reading": reading(made),
        "errors": source_of_error(made),
        "differences": columns_of_differences(made),
    }
    return template("leaderboard/page.html").render(
        board=made,
        titles=header(made),
        rows=zip(made.rows, lines(made), strict=True),
        published=published(made.benchmark),
        **about,
    )


FORMATS: Mapping[str, Callable[[Board], str]] = {
    "md": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "json": as_json,
    "html": as_html,
}
