"""The report on a bank as one self-contained HTML page; its text and looks are in `page.html`
beside this file.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from discl.core.interfaces import Photos
from discl.engine.bank.catalogue import Cell
from discl.files.disk import atomic_output
from discl.files.photos import thumbnail
from discl.harness.bank.quality.facts import (
    Distribution,
    Duplicate,
    Example,
    Quality,
    count,
    definitions,
    number,
    percent,
)
from discl.harness.html import template
from discl.harness.run.assembly import Bench

SHOWN, LARGEST = 84, 168  # width of a picture on the page, and pixels of its longer side
WIDTH = 340
HEIGHT = 64
PALE = ' class="pale"'  # of a histogram
TABLES = (  # figure of a lot, the same figure of the real photos, heading, how it is written
    ("kept_share", None, "kept of picked", "percent"),
    ("probe_retention", "probe_retention", "label retention, probe", "percent"),
    ("caption_retention", "caption_retention", "label retention, captions", "percent"),
    ("diversity", "diversity", "diversity", "number"),
)


def page(quality: Quality, bench: Bench) -> str:
    """The whole page; pictures are inside, nothing is fetched, every word is escaped."""
    filled = template(
        "bank/quality/page.html", {"percent": percent, "number": number, "count": count}
    )
    return filled.render(
        q=quality,
        title=bench.spec.title,
        tables=list(_tables(quality)),
        heat=_heat,
        histogram=partial(histogram, threshold=quality.threshold),
        picture=partial(_picture, bench),
        photo=partial(_photo, bench),
        source=partial(_source, bench),
        strips=_strips(quality.examples),
        small=bench.sources.photos.shape[2] < SHOWN,
        definitions=dict(definitions(Quality)),
    )


def save_page(quality: Quality, bench: Bench, path: Path) -> Path:
    """Write the page whole."""
    with atomic_output(path) as tmp:
        tmp.write_text(page(quality, bench), "utf-8")
    return path


def _heat(value: float | None, low: float, high: float) -> str:
    """How deep a cell is shaded: 0 at `low`, 1 at `high`."""
    if value is None:
        return "0"
    return f"{min(max((value - low) / (high - low), 0), 1) if high > low else 1:.3f}"


def _tables(quality: Quality) -> Iterable[dict[str, Any]]:
    """One table a figure, class by level, with the real photos last; shares are shaded over 0..1,
    others over their range.
    """
    levels = [lot.level for lot in quality.levels]
    for figure, of_real, heading, written in TABLES:
        at = {(lot.label, lot.level): getattr(lot, figure) for lot in quality.lots}
        rows = [
            (
                one.class_name,
                [
                    *(at[one.label, level] for level in levels),
                    *([getattr(one, of_real)] if of_real else []),
                ],
            )
            for one in quality.real
        ]
        there = [value for _, values in rows for value in values if value is not None]
        shade = (0.0, 1.0) if written == "percent" else (0.0, max(there, default=1.0))
        heads = [*(f"{level} %" for level in levels), *(["photos"] if of_real else [])]
        yield {
            "heading": heading,
            "figure": figure,
            "heads": heads,
            "rows": rows,
            "shade": shade,
            "written": written,
        }


# ---------------------------------------------------------------- pictures


def histogram(held: Distribution | None, name: str, marked: bool, threshold: float) -> Markup:
    """Bars as inline SVG; where `marked`, a line at the threshold, and what lies below it is pale."""
    if held is None:
        return Markup("")
    low = held.edges[0]
    high = held.edges[-1]
    tallest = max(held.counts)
    below = [marked and (left + right) / 2 < threshold for left, right in pairwise(held.edges)]
    bars = [
        _bar(i * WIDTH / len(below), WIDTH / len(below) - 1, n / tallest, below[i])
        for i, n in enumerate(held.counts)
        if n
    ]
    if marked and low <= threshold <= high:
        x = (threshold - low) / (high - low) * WIDTH
        bars.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="-4" y2="{HEIGHT}"/>')
    about = (
        f"{name}: {held.images} images, median {held.median:.3f}, from {held.lowest:.3f} to"
        f" {held.highest:.3f}"
    )
    axis = (
        f'<text y="{HEIGHT + 13}">{low:.2f}</text><text y="{HEIGHT + 13}" x="{WIDTH}"'
        f' text-anchor="end">{high:.2f}</text>'
    )
    # all of it is numbers and our own words
    return Markup(
        f'<svg viewBox="0 -5 {WIDTH} {HEIGHT + 22}" role="img"'
        f' aria-label="{about}">{"".join(bars)}{axis}</svg>'
    )  # noqa: S704


def _bar(x: float, width: float, share: float, pale: bool) -> str:
    tall = share * HEIGHT
    return (
        f'<rect x="{x:.1f}" y="{HEIGHT - tall:.1f}" width="{width:.1f}"'
        f' height="{tall:.1f}"{PALE if pale else ""}/>'
    )


def _strips(examples: Iterable[Example]) -> Mapping[int, Mapping[str, list[Example]]]:
    """Examples by level and rank, in their order."""
    found: dict[int, dict[str, list[Example]]] = {}
    for example in examples:
        found.setdefault(example.level, {}).setdefault(example.rank, []).append(example)
    return found


def _picture(bench: Bench, one: Example | Duplicate) -> str:
    return _uri(bench.bank.image(Cell(one.source, one.level, one.variant))[0])


def _source(bench: Bench, one: Duplicate) -> str:
    return _uri(bench.sources.photos[bench.sources.position[one.source]])


def _photo(bench: Bench, one: Duplicate) -> str:
    split = bench.dataset.split(one.split)
    return _uri(np.asarray(split.pixels[int(np.flatnonzero(split.ids == one.photo_id)[0])]))


def _uri(photo: Photos) -> str:
    return "data:image/png;base64," + base64.b64encode(thumbnail(photo, LARGEST)).decode()
