"""Figures for papers: the report's own charts as SVG, PDF or PNG, readable in grey.

The same runs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discl.core.text import counted, visible
from discl.files.disk import clear_disk_errors, write_text
from discl.files.vega import require_vl_convert, write_picture
from discl.harness.leaderboard.wording import comparability_line, reading
from discl.harness.report.chart import DrawnChart, draw_charts
from discl.harness.report.charts.costs import PAPER_COST
from discl.harness.report.comparison import Comparison, Rows
from discl.harness.report.drawing.canvas import PAPER_INK, PAPER_QUIET, altair

POINTS_PER_PIXEL = 72 / 96
CONFIG: Mapping[str, Any] = {
    "font": "Liberation Sans",  # vl-convert carries it, so that every machine draws the same
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        "labelColor": PAPER_INK,
        "titleColor": PAPER_INK,
        "gridColor": "#d0d7de",
        "domainColor": PAPER_QUIET,
        "tickColor": PAPER_QUIET,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "labelOverlap": True,
        "tickCount": 6,
    },
    "legend": {"labelColor": PAPER_INK, "titleColor": PAPER_INK, "titleFontWeight": "normal"},
}


def save_figures(
    comparison: Comparison, folder: Path, formats: Sequence[str], command: str
) -> list[Path]:
    """Write every figure that has data, and a text with their captions; returns the files.

    `command` is named in the text as what makes them.
    """
    altair()
    require_vl_convert("report")
    with clear_disk_errors("drawing figures", folder):
        folder.mkdir(parents=True, exist_ok=True)
    board = comparison.board
    stem = f"{board.benchmark}-{board.scale}"
    written = []
    captions = []
    for chart in draw_charts(comparison, paper=True):
        if spec := figure(chart, comparison):
            name = f"{stem}-{chart.kind.figure}"
            for form in formats:
                path = folder / f"{name}.{form}"
                written.append(write_picture(spec, path, scale=POINTS_PER_PIXEL))
            caption = chart.kind.caption(comparison)
            shown = spec["datasets"][chart.id]
            captions.append(f"{name}: {chart.kind.with_cuts(caption, shown)}")
    text = folder / f"{stem}-captions.txt"
    write_text(text, _captions(comparison, captions, command))
    return [*written, text]


def figure(chart: DrawnChart, comparison: Comparison) -> dict[str, Any] | None:
    """The specification with its data and the choices of a figure; None where no row is left.

    These are the choices the page opens with: the metric of the headline and the first baseline.
    """
    board = comparison.board
    choices = {
        "metric": comparison.metric,
        "baseline": board.baselines[0] if board.baselines else "",
        "cost": PAPER_COST,
        "hidden": list[str](),
    }
    rows = _chosen(chart, choices)
    if not rows:
        return None
    if chart.panels:  # a field that the panels are sorted by
        order = {name: rank for rank, name in enumerate(comparison.strategies)}
        rows = [{**row, "order": order[row["strategy"]]} for row in rows]
    params = [{**param, "value": choices[param["name"]]} for param in chart.spec.get("params", [])]
    spec = {**chart.spec, "config": CONFIG, "params": params, "datasets": {chart.id: rows}}
    if per_row := chart.kind.paper_row_height or chart.kind.row_height:
        spec["height"] = per_row * len(rows)
    return spec


def _chosen(chart: DrawnChart, choices: Mapping[str, Any]) -> Rows:
    return [
        row
        for row in chart.rows
        if all(row[choice] == choices[choice] for choice in chart.kind.choices)
    ]


def _captions(comparison: Comparison, captions: Sequence[str], command: str) -> str:
    board = comparison.board
    lines = [
        f"{board.title}, scale {board.scale}; {counted(len(board.declared_seeds), 'seed')}.",
        f"Answer: {comparison.headline.sentence}",
        "",
        *captions,
        "",
        " ".join((reading(board), *board.about)),
        "",
        f"Figures: {command}",
        f"Runs: {board.command}",
        f"Comparability key: {comparability_line(board)}.",
        f"Code: {'; '.join(board.code)}. Hardware: {'; '.join(board.hardware)}.",
    ]
    return visible("\n".join([*lines, ""]))
