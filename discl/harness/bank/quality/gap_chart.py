"""The gap curve as a picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from markupsafe import Markup

from discl.files.vega import check_picture, svg, write_picture
from discl.harness.bank.quality.gap_curve import GapCurve, interval_text

FORMATS = (".png", ".svg", ".pdf")
_WIDTH, _HEIGHT = 300, 160
_COLOURS = {"images": "#5b2a86", "hard photos": "#1b9e8f", "other real photos": "#57616c"}


def check_gap_figure(path: Path) -> None:
    """Raise UserError before long work where `draw_gap` could not write to `path`."""
    check_picture(path, FORMATS, "plots")


def draw_gap(curve: GapCurve, path: Path) -> Path:
    """Draw accuracy and distance by level; the format is that of the file's ending."""
    check_gap_figure(path)
    return write_picture(_spec(curve), path, "gap curve")


def gap_markup(curve: GapCurve) -> Markup:
    """The picture inside a page, with a sentence for those who do not see it."""
    spec = {**_spec(curve), "config": {"background": None, "view": {"stroke": None}}}
    drawing = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg(spec))
    levels = ", ".join(f"{row.pictures} {interval_text(row.accuracy)}" for row in curve.rows)
    inside = Markup(drawing)  # noqa: S704 - drawn from numbers and our own words
    about = f"accuracy in percent: {levels}"
    # one picture with a name: of its parts nothing is read out
    return Markup('<div role="img" aria-label="{}"><div aria-hidden="true">{}</div></div>').format(
        about, inside
    )


def _spec(curve: GapCurve) -> dict[str, Any]:
    """Two panels: accuracy, and distance where some was measured."""
    panels = [_panel(_accuracies(curve), "recall on val photos (%)")]
    if distances := _distances(curve):
        panels.append(_panel(distances, "distance of features"))
    return {"hconcat": panels, "spacing": 28}


def _accuracies(curve: GapCurve) -> list[dict[str, Any]]:
    rows = []
    for row in curve.rows:
        mean, half_width = row.accuracy
        width = half_width or 0.0
        ends = {"low": 100 * (mean - width), "high": 100 * (mean + width)}
        rows.append({**_place(row.level), "value": 100 * mean, **ends})
    return rows


def _distances(curve: GapCurve) -> list[dict[str, Any]]:
    return [
        {
            **_place(row.level),
            "value": row.distance,
            "low": row.distance - (row.distance_error or 0.0),
            "high": row.distance + (row.distance_error or 0.0),
        }
        for row in curve.rows
        if row.distance is not None
    ]


def _place(level: int | None) -> dict[str, Any]:
    """Where a row is drawn: other real photos are a line over all levels."""
    if level is None:
        return {"pictures": "other real photos", "level": None}
    return {"pictures": "hard photos" if level == 100 else "images", "level": level}


def _panel(rows: list[dict[str, Any]], title: str) -> dict[str, Any]:
    x = {
        "field": "level",
        "type": "quantitative",
        "title": "level (% of the photo that survives)",
        "scale": {"domain": [0, 100]},
    }
    free = {"zero": False, "padding": 8}
    y = {"field": "value", "type": "quantitative", "title": title, "scale": free}
    colour = {
        "field": "pictures",
        "type": "nominal",
        "scale": {"domain": list(_COLOURS), "range": list(_COLOURS.values())},
        "legend": {"orient": "top", "title": None, "columns": 3},
    }
    at_level = {"filter": "isValid(datum.level)"}
    line = {"type": "line", "color": _COLOURS["images"], "strokeWidth": 1}
    band = {"type": "rect", "opacity": 0.12, "color": _COLOURS["other real photos"]}
    ceiling = {"filter": "!isValid(datum.level)"}
    ends = {"y": {**y, "field": "low"}, "y2": {"field": "high"}}
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "data": {"values": rows},
        "layer": [
            {"transform": [ceiling], "mark": band, "encoding": ends},
            {
                "transform": [ceiling],
                "mark": {"type": "rule", "strokeDash": [4, 3]},
                "encoding": {"y": y, "color": colour},
            },
            {
                "transform": [at_level, {"filter": "datum.pictures === 'images'"}],
                "mark": line,
                "encoding": {"x": x, "y": y},
            },
            {
                "transform": [at_level],
                "mark": "rule",
                "encoding": {"x": x, **ends, "color": colour},
            },
            {
                "transform": [at_level],
                "mark": {"type": "point", "filled": True, "size": 45, "opacity": 1},
                "encoding": {"x": x, "y": y, "color": colour},
            },
        ],
    }
