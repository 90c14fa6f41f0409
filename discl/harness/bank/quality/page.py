"""The report on a bank as one self-contained HTML page; its text and style are in `page.html`."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from discl.config.identity import which_are_kept
from discl.core.interfaces import Photos
from discl.engine.bank.catalogue import Cell
from discl.files.disk import atomic_output, check_output
from discl.files.photos import thumbnail
from discl.files.vega import require_vl_convert
from discl.harness.bank.quality.gap_chart import gap_markup
from discl.harness.bank.quality.gap_curve import (
    GapCurve,
    gap_definitions,
    gap_sentences,
    interval_text,
)
from discl.harness.bank.quality.histogram import histogram
from discl.harness.bank.quality.quality_report import (
    ExampleImage,
    NearDuplicate,
    QualityReport,
    count,
    definitions,
    number,
    percent,
)
from discl.harness.html import template
from discl.harness.run.assembly import Bench

SHOWN = 84  # width of a picture on the page
LARGEST = 168  # pixels of its longer side


class FigureTable(NamedTuple):
    """A table of one figure by class and level."""

    figure: str  # of ClassLevelStats
    figure_of_photos: str | None  # the same figure of RealClassStats
    heading: str
    format: str  # "percent" or "number"


TABLES = (
    FigureTable("kept_share", None, "kept of picked", "percent"),
    FigureTable("probe_retention", "probe_retention", "label retention, probe", "percent"),
    FigureTable("caption_retention", "caption_retention", "label retention, captions", "percent"),
    FigureTable("diversity", "diversity", "diversity", "number"),
)


def check_page(path: Path) -> None:
    """Raise before long work what `save_page` would raise after it.

    Raises UserError where vl-convert is not installed or the file cannot be written.
    """
    require_vl_convert("report")
    check_output(path)


def page(report: QualityReport, bench: Bench, gap: GapCurve | None = None) -> str:
    """The whole page; pictures are inside, nothing is fetched, every word is escaped."""
    filters = {
        "percent": percent,
        "number": number,
        "count": count,
        "which_are_kept": which_are_kept,
    }
    return template("bank/quality/page.html", filters).render(
        q=report,
        title=bench.spec.title,
        tables=[_table(report, table) for table in TABLES],
        heat=_heat,
        histogram=histogram,
        picture=partial(_picture, bench),
        photo=partial(_photo, bench),
        source=partial(_source, bench),
        strips=_strips(report.examples),
        small=bench.sources.photos.shape[2] < SHOWN,
        gap=gap,
        gap_picture=gap_markup(gap) if gap else "",
        gap_sentences=gap_sentences(gap) if gap else [],
        interval=interval_text,
        definitions=dict(definitions(QualityReport)) | (gap_definitions() if gap else {}),
    )


def save_page(report: QualityReport, bench: Bench, path: Path, gap: GapCurve | None = None) -> Path:
    """Write the page whole; returns the path."""
    with atomic_output(path) as tmp:
        tmp.write_text(page(report, bench, gap), "utf-8")
    return path


def _heat(value: float | None, low: float, high: float) -> str:
    """How strongly a cell is shaded: 0 at `low`, 1 at `high`."""
    if value is None:
        return "0"
    return f"{min(max((value - low) / (high - low), 0), 1) if high > low else 1:.3f}"


def _table(report: QualityReport, table: FigureTable) -> dict[str, Any]:
    """One figure, class by level, with the real photos last.

    Shares are shaded over 0 .. 1, other figures over their range.
    """
    levels = [stats.level for stats in report.levels]
    values = {
        (stats.label, stats.level): getattr(stats, table.figure)
        for stats in report.by_class_and_level
    }
    rows = []
    for photos in report.real:
        cells = [values[photos.label, level] for level in levels]
        if table.figure_of_photos:
            cells.append(getattr(photos, table.figure_of_photos))
        rows.append((photos.class_name, cells))
    known = [value for _, cells in rows for value in cells if value is not None]
    return {
        "heading": table.heading,
        "figure": table.figure,
        "heads": [f"{level} %" for level in levels]
        + (["photos"] if table.figure_of_photos else []),
        "rows": rows,
        "shade": (0.0, 1.0 if table.format == "percent" else max(known, default=1.0)),
        "written": table.format,
    }


# ---------------------------------------------------------------- pictures


def _strips(examples: Iterable[ExampleImage]) -> Mapping[int, Mapping[str, list[ExampleImage]]]:
    """Examples by level and rank, in their order."""
    by_rank: dict[int, dict[str, list[ExampleImage]]] = {}
    for example in examples:
        by_rank.setdefault(example.level, {}).setdefault(example.rank, []).append(example)
    return by_rank


def _picture(bench: Bench, image: ExampleImage | NearDuplicate) -> str:
    return _uri(bench.bank.image(Cell(image.source, image.level, image.variant))[0])


def _source(bench: Bench, image: NearDuplicate) -> str:
    """The photo an image was made from."""
    return _uri(bench.sources.photos[bench.sources.position[image.source]])


def _photo(bench: Bench, image: NearDuplicate) -> str:
    """The photo an image resembles."""
    split = bench.dataset.split(image.split)
    row = int(np.flatnonzero(split.ids == image.photo_id)[0])
    return _uri(np.asarray(split.pixels[row]))


def _uri(photo: Photos) -> str:
    return "data:image/png;base64," + base64.b64encode(thumbnail(photo, LARGEST)).decode()
