"""The worth curve as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discl.files.vega import check_picture, write_picture
from discl.harness.worth.levels import METRICS, WorthCurve

FORMATS = (".png", ".svg", ".pdf")


def check_worth_figure(path: Path) -> None:
    """Raise UserError before long work where `draw_worth` could not write to `path`."""
    check_picture(path, FORMATS, "plots")


def draw_worth(curve: WorthCurve, path: Path) -> Path:
    """Draw what each level is worth, and the proposed levels; the format is that of the ending."""
    check_worth_figure(path)
    return write_picture(_spec(curve), path, "worth of levels")


def _spec(curve: WorthCurve) -> dict[str, Any]:
    rows = [
        {
            "level": row.level,
            "metric": METRICS[metric],
            "mean": 100 * value.mean,
            "low": 100 * (value.mean - (value.half_width or 0.0)),
            "high": 100 * (value.mean + (value.half_width or 0.0)),
        }
        for row in curve.levels
        for metric, value in row.metrics.items()
    ]
    x = {
        "field": "level",
        "type": "quantitative",
        "title": "level trained on alone (100 = photos)",
        "scale": {"domain": [0, 100]},
    }
    free = {"zero": False, "padding": 8}
    y = {"field": "mean", "type": "quantitative", "title": "val accuracy (%)", "scale": free}
    by_metric = {
        "color": {
            "field": "metric",
            "type": "nominal",
            "scale": {"domain": list(METRICS.values()), "range": ["#5b2a86", "#57616c"]},
            "legend": {"orient": "top", "title": None},
        }
    }
    proposed = [{"level": level} for level in curve.proposal.levels]
    return {
        "width": 340,
        "height": 190,
        "data": {"values": rows},
        "layer": [
            {
                "data": {"values": proposed},
                "mark": {"type": "rule", "strokeDash": [3, 3], "color": "#9aa5b1"},
                "encoding": {"x": x},
            },
            {"mark": {"type": "line", "strokeWidth": 1}, "encoding": {"x": x, "y": y, **by_metric}},
            {
                "mark": "rule",
                "encoding": {
                    "x": x,
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    **by_metric,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 45, "opacity": 1},
                "encoding": {"x": x, "y": y, **by_metric},
            },
        ],
    }
