"""Whole charts that several modules of the report draw alike: forest plots and curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discl.harness.report.drawing.canvas import Canvas

CURVE_HEIGHT = 260
ROW_HEIGHT = 46  # pixels of a row with a word, a dot and an interval


def forest(
    canvas: Canvas, name: str, label: str, choices: Sequence[str], *, signed: bool = True
) -> dict[str, Any]:
    """A forest plot: in each row a word, a dot, its interval, its seeds and its `number`, a text.

    `signed` = differences in points, with a line at zero; otherwise percent.
    """
    alt = canvas.alt
    title = "points" if signed else "percent"
    base = canvas.shown(name, *choices)
    row = alt.Y(field=label, type="nominal", sort=None, axis=None, scale=alt.Scale(padding=0.3))
    zero = (
        alt.Chart(alt.Data(values=[{"zero": 0}]))
        .mark_rule(stroke=canvas.quiet)
        .encode(x=alt.X(field="zero", type="quantitative"))
    )
    text: dict[str, Any] = {"baseline": "bottom", "dy": -9, "fontSize": 12}
    words = base.mark_text(align="left", fill=canvas.ink, limit=230, **text)
    numbers = base.mark_text(align="right", fill=canvas.quiet, **text)
    line = base.mark_rule(strokeWidth=2.5, strokeCap="round")
    tips = {label: label, "mean": title, "low": "from", "high": "to", "n": "seeds"}
    scale = alt.Scale(zero=signed)
    position = {"x": canvas.x("mean", title, scale=scale), "y": row}
    layers = [
        *([zero] if signed else []),
        canvas.seed_dots(base, {"x": canvas.x("seed", title), "y": row}, legend=False, yOffset=8),
        words.encode(y=row, x=alt.value(0), text=alt.Text(field=label, type="nominal")),
        numbers.encode(y=row, x=alt.value("width"), text=alt.Text(field="number", type="nominal")),
        line.encode(
            y=row,
            x=canvas.x("begin", title),
            x2="end:Q",
            **canvas.by_strategy("stroke", legend=False),
        ),
        *canvas.arrows(base, {"y": row}),
        canvas.dots(base, position, tips, 90, legend=False),
    ]
    return canvas.finish(alt.layer(*layers), (*choices, "hidden"), ROW_HEIGHT)


def curve(canvas: Canvas, name: str, title: str) -> dict[str, Any]:
    """Means over epochs, with the interval over seeds as a band.

    Names that fit stand at the ends of their lines.
    """
    alt = canvas.alt
    base = canvas.shown(name)
    room = {}
    if not canvas.paper and any(row["side"] for row in canvas.rows):
        end = alt.ExprRef("width - min(96, width * 0.3)")
        room = {"scale": alt.Scale(range=[0, end], nice=False)}
    x = canvas.x("epoch", "epoch", axis=alt.Axis(tickMinStep=1, grid=False), **room)
    free = {"scale": alt.Scale(zero=False)}
    position = {"x": x, "y": canvas.y("mean", title, **free)}
    band = base.mark_area(opacity=0.14).encode(
        x=x,
        y=canvas.y("begin", title, **free),
        y2="end:Q",
        **canvas.by_strategy("fill"),
    )
    line = base.mark_line(strokeWidth=2).encode(
        **position, **canvas.by_strategy("stroke", "strokeDash")
    )
    tips = {
        "strategy": "strategy",
        "epoch": "epoch",
        "mean": title,
        "low": "from",
        "high": "to",
        "n": "runs",
    }
    layers = [band, line, canvas.dots(base, position, tips, 30), *canvas.names(base, position)]
    return canvas.finish(alt.layer(*layers), ("hidden",), CURVE_HEIGHT)
