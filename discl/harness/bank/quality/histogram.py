"""Histograms of scores as SVG inside the page, in the page's colours."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from markupsafe import Markup

from discl.files.vega import svg
from discl.harness.bank.quality.quality_report import ScoreDistribution

WIDTH = 340
HEIGHT = 64


def histogram(
    distribution: ScoreDistribution | None, title: str, threshold: float | None = None
) -> Markup:
    """One bar for each bin; with a threshold a line there, and bars below it are pale."""
    if distribution is None:
        return Markup("")
    drawing = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg(_spec(distribution, threshold)))
    about = (
        f"{title}: {distribution.images} images, median {distribution.median:.3f}, from"
        f" {distribution.lowest:.3f} to {distribution.highest:.3f}"
    )
    inside = Markup(drawing)  # noqa: S704 - drawn from numbers and our own words
    # one picture with a name: of its parts nothing is read out
    return Markup('<div role="img" aria-label="{}"><div aria-hidden="true">{}</div></div>').format(
        about, inside
    )


def _spec(distribution: ScoreDistribution, threshold: float | None) -> dict[str, Any]:
    low, high = distribution.edges[0], distribution.edges[-1]
    bars = [
        {
            "low": left,
            "high": right,
            "images": count,
            "below": threshold is not None and (left + right) / 2 < threshold,
        }
        for (left, right), count in zip(
            pairwise(distribution.edges), distribution.counts, strict=True
        )
    ]
    x = {
        "field": "low",
        "bin": "binned",
        "type": "quantitative",
        "title": None,
        "scale": {"domain": [low, high], "nice": False},
        "axis": {"values": [low, high], "format": ".2f", "labelFlush": True},
    }
    colours = {
        "condition": {"test": "datum.below", "value": "var(--pale)"},
        "value": "var(--bar)",
    }
    y = {"field": "images", "type": "quantitative", "axis": None}
    layers: list[dict[str, Any]] = [
        {
            "mark": "bar",
            "encoding": {"x": x, "x2": {"field": "high"}, "y": y, "fill": colours},
        }
    ]
    if threshold is not None and low <= threshold <= high:
        rule = {"type": "rule", "stroke": "var(--alarm)", "strokeWidth": 2, "strokeDash": [4, 3]}
        layers.append({"mark": rule, "encoding": {"x": {"datum": threshold}}})
    axis = {"grid": False, "domain": False, "ticks": False, "labelColor": "var(--quiet)"}
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "data": {"values": bars},
        "layer": layers,
        "config": {"background": None, "view": {"stroke": None}, "axis": axis},
    }
