"""How far an axis reaches: intervals of two seeds may be a hundred times what their dots need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

CUT_OFF = "An interval that runs on beyond the axis is cut off there."
PERCENTS = (0.0, 100.0)
POINTS = 5.0  # of room for an interval, also where all dots lie together
ARROWS = "An interval that ends in the head of an arrow runs on beyond the axis."


def within_reach(
    rows: Sequence[Mapping[str, Any]],
    choices: Sequence[str] = (),
    *,
    intervals: Sequence[str] = ("",),
    times: float = 1.0,
    least_room: float = 0.0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    zero: bool = False,
) -> list[dict[str, Any]]:
    """Rows with `begin` and `end` of the interval from `low` to `high`, as far as it is drawn.

    Rows that agree in `choices` share an axis. It holds their means and their `seeds`, with `zero`
    also 0, and on either side up to `times` as much for intervals, or `least_room`; never what is
    beyond `bounds`. `intervals` are prefixes of the fields; None stays None.
    """
    charts: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    reaching = [dict(row) for row in rows]
    for row in reaching:
        charts.setdefault(tuple(row[choice] for choice in choices), []).append(row)
    for prefix in intervals:
        for sharing in charts.values():
            least, most = _needed(sharing, prefix, zero)
            room = max(times * (most - least), least_room)
            first = max(least - room, bounds[0])
            last = min(most + room, bounds[1])
            for row in sharing:
                low, high = row[f"{prefix}low"], row[f"{prefix}high"]
                known = low is not None and high is not None and room > 0
                row[f"{prefix}begin"] = max(low, first) if known else low
                row[f"{prefix}end"] = min(high, last) if known else high
    return reaching


def are_cut(rows: Sequence[Mapping[str, Any]], intervals: Sequence[str] = ("",)) -> bool:
    """Whether an interval of some rows of `within_reach` runs on beyond the axis."""
    return any(
        row.get(f"{prefix}{drawn}") != row.get(f"{prefix}{true}")
        for row in rows
        for prefix in intervals
        for drawn, true in (("begin", "low"), ("end", "high"))
        if f"{prefix}{drawn}" in row
    )


def _needed(rows: Sequence[Mapping[str, Any]], prefix: str, zero: bool) -> tuple[float, float]:
    """The smallest and the largest value that is a mark."""
    marks = [0.0] if zero else []
    for row in rows:
        marks += row.get("seeds", [])
        if row[f"{prefix}mean"] is not None:
            marks.append(row[f"{prefix}mean"])
    return min(marks, default=0.0), max(marks, default=0.0)
