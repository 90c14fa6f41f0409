"""The figure of an order test: a histogram of the orders, the paper's marked."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from discl.files.vega import check_picture, write_picture
from discl.harness.sweep.order_test.statistics import OrderTestResult

FORMATS = (".png", ".svg")
# name in the legend -> dashes of its line
_LINES = {"noise of seeds alone": [2, 2], "the paper's order": [1, 0], "its reverse": [6, 3]}


def check_figure(path: Path) -> None:
    """Raise UserError before long work where the figure could not be written to `path`."""
    check_picture(path, FORMATS, "plots")


def draw(result: OrderTestResult, path: Path, metric: str) -> Path:
    """Draw the orders' means beside the noise of seeds; PNG or SVG by the file's ending.

    The same result gives the same file. Raises UserError where it cannot be written.
    """
    check_figure(path)
    return write_picture(_spec(result, metric), path)


def _spec(result: OrderTestResult, metric: str) -> dict[str, Any]:
    means = 100 * np.array([ranked.mean for ranked in result.ranking])
    counts, edges = np.histogram(means, bins="rice")
    bars = [
        {"low": float(low), "high": float(high), "orders": int(count), "legend": "orders"}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    bar_fill = {
        "field": "legend",
        "type": "nominal",
        "scale": {"range": ["#c7c7c7"]},
        "legend": {"orient": "top", "title": None},
    }
    x_title = f"{metric}, mean of {len(result.seeds)} seeds (%)"
    layers: list[dict[str, Any]] = [
        {
            "data": {"values": bars},
            "mark": {"type": "rect", "stroke": "white"},
            "encoding": {
                "x": _x("low", x_title),
                "x2": {"field": "high"},
                "y": {
                    "field": "orders",
                    "type": "quantitative",
                    "title": "orders (count)",
                    "axis": {"tickMinStep": 1},
                },
                "y2": {"datum": 0},
                "fill": bar_fill,
            },
        },
        {
            "data": {"values": [{"mean": float(mean)} for mean in means]},
            "mark": {"type": "tick", "color": "#404040", "size": 7, "yOffset": -4, "opacity": 1},
            "encoding": {"x": _x("mean", x_title), "y": {"datum": 0}},
        },
    ]
    if noise := _noise_curve(result, means, edges):
        layers.append(
            {
                "data": {"values": noise},
                "mark": {"type": "line", "color": "black", "strokeWidth": 1},
                "encoding": {
                    "x": _x("mean", x_title),
                    "y": {"field": "orders", "type": "quantitative"},
                    "strokeDash": _dash(),
                },
            }
        )
    layers.append(
        {
            "data": {"values": _marked_orders(result)},
            "mark": {"type": "rule", "color": "black", "strokeWidth": 1.6},
            "encoding": {"x": _x("mean", x_title), "strokeDash": _dash()},
        }
    )
    return {"width": 300, "height": 150, "layer": layers}


def _x(field: str, title: str) -> dict[str, Any]:
    scale = {"zero": False, "nice": False}
    return {"field": field, "type": "quantitative", "title": title, "scale": scale}


def _dash() -> dict[str, Any]:
    return {
        "field": "legend",
        "type": "nominal",
        "scale": {"domain": list(_LINES), "range": list(_LINES.values())},
        "legend": {"orient": "top", "columns": 3, "title": None},
    }


def _noise_curve(result: OrderTestResult, means: Any, edges: Any) -> list[dict[str, Any]]:
    """The normal curve of means [n] that differ only by the seeds' noise, as counts of a bin."""
    noise = 100 * result.variance.noise
    if not noise:
        return []
    middle = means.mean()
    x = np.linspace(min(edges[0], middle - 3 * noise), max(edges[-1], middle + 3 * noise), 200)
    density = np.exp(-0.5 * ((x - middle) / noise) ** 2) / (noise * math.sqrt(2 * math.pi))
    orders = density * len(means) * (edges[1] - edges[0])
    return [
        {"mean": float(mean), "orders": float(count), "legend": "noise of seeds alone"}
        for mean, count in zip(x, orders, strict=True)
    ]


def _marked_orders(result: OrderTestResult) -> list[dict[str, Any]]:
    percent = {ranked.order: 100 * ranked.mean for ranked in result.ranking}
    return [
        {"mean": percent[result.paper], "legend": "the paper's order"},
        {"mean": percent[result.paper[::-1]], "legend": "its reverse"},
    ]
