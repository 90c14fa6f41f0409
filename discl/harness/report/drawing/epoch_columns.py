"""Stacked columns of shares, one an epoch, in a panel for each strategy: what charts have alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discl.harness.report.drawing.canvas import Canvas

PANEL_HEIGHT = 96  # pixels


def draw_epoch_columns(
    canvas: Canvas, id: str, fill: Any, told: Mapping[str, str]
) -> dict[str, Any]:
    """The chart of rows with `epoch` (from 1), `from` and `to` (percent) and what `fill` encodes.

    `id` is the chart's; `told` are fields with their titles, for whoever points at a column.
    """
    alt = canvas.alt
    last = max(row["epoch"] for row in canvas.rows)
    epochs = alt.Scale(domain=[0.5, last + 0.5], nice=False)
    percents = alt.Axis(values=[0, 50, 100], grid=False)
    columns = (
        canvas.panel(id)
        .transform_calculate(start="datum.epoch - 0.5", end="datum.epoch + 0.5")
        .mark_rect(stroke=canvas.background, strokeWidth=0.5)
        .encode(
            x=canvas.x("start", None, scale=epochs, axis=alt.Axis(grid=False, tickCount=4)),
            x2="end:Q",
            y=canvas.y("from", None, scale=alt.Scale(domain=[0, 100]), axis=percents),
            y2="to:Q",
            fill=fill,
            tooltip=canvas.tooltip(told),
        )
    )
    return canvas.finish(columns, ("which",), PANEL_HEIGHT)
