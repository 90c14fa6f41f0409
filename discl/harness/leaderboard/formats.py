"""A leaderboard as text: Markdown, LaTeX, CSV, JSON and HTML."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from discl.core.conventions import other_rule
from discl.core.result import Result
from discl.core.text import Latex, Markdown, csv_text
from discl.harness.leaderboard.paper_results import PaperResults
from discl.harness.leaderboard.statistics import Estimate, PairedDifference, SeedSummary
from discl.harness.leaderboard.table import Board, BoardRow
from discl.harness.leaderboard.wording import (
    columns_of_differences,
    header,
    lines,
    old_rows,
    placed,
    reading,
    source_of_error,
    warning,
)

_STARRED = re.compile(r"[+-][\d.]+( ± [\d.]+)?\*")  # a difference that excludes zero


def as_markdown(made: Board) -> Markdown:
    """The table, what its numbers mean, the command that makes them, and what papers report."""
    explained = " ".join(
        filter(None, (reading(made), source_of_error(made), old_rows(made), *made.about))
    )
    key = Markdown(", ").join(
        Markdown("{} {}").format(name, Markdown.code(value))
        for name, value in sorted(made.comparability.items())
    )
    return Markdown("\n").join(
        [
            Markdown("## {}, scale {}, at {}").format(
                made.title, Markdown.code(made.scale), made.rule.words
            ),
            "",
            Markdown.code(made.command),
            "",
            *_markdown_table(header(made), lines(made)),
            "",
            *_warned(made),
            Markdown.sentence(explained),
            "",
            Markdown("Comparability key: {}. Code: {}. Hardware: {}.").format(
                key, "; ".join(made.code), "; ".join(made.hardware)
            ),
            "",
            *(line for table in made.papers for line in _paper_markdown(table)),
        ]
    )


def _warned(made: Board) -> list[Markdown]:
    """The warning where the two epochs disagree, as a paragraph."""
    told = warning(made)
    return [Markdown("**Warning.** {}").format(Markdown.sentence(told)), Markdown()] if told else []


def _paper_markdown(table: PaperResults) -> list[Markdown]:
    rows = [[method, *cells] for method, cells in table.rows]
    return [
        Markdown("**{}** ({}; {}), percent:").format(table.of, table.source, table.warning),
        Markdown(),
        *_markdown_table(["method", *table.titles], rows),
        Markdown(),
    ]


def _markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Markdown]:
    def line(cells: Sequence[str]) -> Markdown:
        shown = (Markdown(cell) if _STARRED.fullmatch(cell) else cell for cell in cells)
        return Markdown("| {} |").format(Markdown(" | ").join(shown))

    return [line(titles), Markdown("|" + " --- |" * len(titles)), *map(line, rows)]


# ---------------------------------------------------------------- for papers


def as_latex(made: Board) -> Latex:
    """A booktabs table; the best complete row of each column is bold."""
    titles = header(made)
    best = _best(made)
    body = []
    for row, cells in zip(made.rows, lines(made), strict=True):
        shown = [Latex.escape(cell) for cell in cells]
        for column, metric in enumerate(made.columns, 3):
            if row.complete and best.get(metric) == row.strategy:
                shown[column] = Latex("").join([Latex(r"\textbf{"), shown[column], Latex("}")])
        body.append(_latex_row(shown))
    head = [
        Latex.comment(made.command),
        Latex.comment(f"numbers at {made.rule.words}. {warning(made)}".strip()),
        Latex.comment(f"comparability: {json.dumps(made.comparability, sort_keys=True)}"),
        Latex(r"\begin{tabular}{rl" + "r" * (len(titles) - 2) + "}"),
        Latex(r"\toprule"),
    ]
    foot = [Latex(r"\bottomrule"), Latex(r"\end{tabular}"), Latex()]
    return Latex("\n").join([*head, _latex_row(titles), Latex(r"\midrule"), *body, *foot])


def _latex_row(cells: Sequence[str]) -> Latex:
    return Latex("").join([Latex(" & ").join(cells), Latex(r" \\")])


def _best(made: Board) -> dict[str, str]:
    """Metric -> the complete strategy with the best mean."""
    best = {}
    for metric in made.columns:
        means = {
            row.strategy: row.metrics[metric].mean.mean
            for row in made.rows
            if row.complete and row.metrics[metric].mean.n
        }
        if means:
            better = min if metric in made.lower_is_better else max
            best[metric] = better(means, key=lambda strategy: means[strategy])
    return best


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
    "corrections",
    *("epoch", "other_epoch", "other_epoch_mean", "other_epoch_half_width"),
)


def as_csv(made: Board) -> str:
    """One line per strategy and metric, and per baseline it is compared with; fractions."""
    rows = (
        _csv_head(made, row, metric) | compared
        for row in made.rows
        for metric in made.columns
        for compared in _differences_for_csv(row, metric)
    )
    return csv_text(_CSV, ([row.get(name, "") for name in _CSV] for row in rows))


def _csv_head(made: Board, row: BoardRow, metric: str) -> dict[str, Any]:
    summary = row.old.get(metric, row.metrics[metric])
    cells = {
        "benchmark": made.benchmark,
        "scale": made.scale,
        "strategy": row.strategy,
        "complete": row.complete,
        "place": placed(row),
        "metric": metric,
        "title": made.columns[metric],
        "n": summary.mean.n,
        "seed_sd": summary.seed_sd,
        "test_se": summary.test_se,
        "corrections": " ".join(row.corrections) if metric in row.old else "",
        "epoch": made.rule.name,
    }
    if (beside := row.beside.get(metric)) and beside.n:
        cells["other_epoch"] = other_rule(made.rule).name
        cells["other_epoch_mean"] = beside.mean
        cells["other_epoch_half_width"] = beside.half_width
    if summary.mean.n:
        cells["mean"] = summary.mean.mean
        cells["half_width"] = summary.mean.half_width
        cells["median"] = summary.median.mean
        cells["iqm"] = summary.iqm.mean
    return cells


def _differences_for_csv(row: BoardRow, metric: str) -> list[dict[str, Any]]:
    """Cells for each baseline; one empty set of cells where the row is compared with none."""
    compared: list[dict[str, Any]] = []
    for base, by_metric in row.differences.items():
        difference = by_metric.get(metric)
        if difference and difference.mean.n:
            compared.append(
                {
                    "baseline": base,
                    "difference": difference.mean.mean,
                    "difference_half_width": difference.mean.half_width,
                    "p": difference.p,
                    "p_holm": difference.p_holm,
                    "improvement": difference.improvement,
                }
            )
    return compared or [{}]


def as_json(made: Board) -> str:
    """The board for programs, with the comparability key of every row; fractions."""
    rows = [
        {
            "strategy": row.strategy,
            "seeds": row.seeds,
            "complete": row.complete,
            "before": row.before,
            "corrections": list(row.corrections),
            "places": row.places,
            "cost": row.cost,
            "metrics": {
                metric: _summary(summary)
                for metric, summary in row.metrics.items()
                if summary.mean.n
            },
            "old": {
                metric: _summary(summary) for metric, summary in row.old.items() if summary.mean.n
            },
            "differences": {
                base: {
                    metric: _difference(difference)
                    for metric, difference in by_metric.items()
                    if difference.mean.n
                }
                for base, by_metric in row.differences.items()
            },
            "other_epoch": {
                metric: beside._asdict() for metric, beside in row.beside.items() if beside.n
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
        "epoch": made.rule.name,
        "epoch_note": made.epoch_note,
        "warning": warning(made),
        "reading": reading(made),
        "about": list(made.about),
        "published": [asdict(table) | {"warning": table.warning} for table in made.papers],
    }
    return json.dumps({**head, "rows": rows}, indent=1, allow_nan=False) + "\n"


def _summary(summary: SeedSummary) -> dict[str, Any]:
    return {
        **summary.mean._asdict(),
        "median": _interval(summary.median),
        "iqm": _interval(summary.iqm),
        "seed_sd": summary.seed_sd,
        "test_se": summary.test_se,
    }


def _interval(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.mean, "half_width": estimate.half_width}


def _difference(difference: PairedDifference) -> dict[str, Any]:
    return {
        **difference.mean._asdict(),
        "p": difference.p,
        "p_holm": difference.p_holm,
        "improvement": difference.improvement,
    }


def _run(result: Result) -> dict[str, Any]:
    provenance = result.provenance
    return {
        "id": result.id,
        "seed": result.seed,
        "command": provenance.get("command"),
        "commit": provenance.get("commit"),
        "device": provenance.get("device"),
        "epoch": result.chosen_epoch,
        "predictions": result.predictions,
    }


# ---------------------------------------------------------------- for a browser


def as_html(made: Board) -> str:
    """A page with only the table; `discl report` makes one with charts."""
    from discl.harness.html import template  # jinja2: nothing else here needs it

    about = {
        "reading": reading(made),
        "errors": " ".join(filter(None, (source_of_error(made), old_rows(made), *made.about))),
        "differences": columns_of_differences(made),
        "warning": warning(made),
    }
    return template("leaderboard/page.html").render(
        board=made,
        titles=header(made),
        rows=zip(made.rows, lines(made), strict=True),
        published=made.papers,
        **about,
    )


FORMATS: Mapping[str, Callable[[Board], str]] = {
    "md": as_markdown,
    "latex": as_latex,
    "csv": as_csv,
    "json": as_json,
    "html": as_html,
}
