"""Which names fit beside the marks of a chart, so that a reader need not look into its key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from discl.core.text import visible

NARROW = 230.0  # pixels between the outer marks on a phone; elsewhere they are further apart
PADDING = 14.0  # pixels beyond them, at least
LETTER = 6.4  # pixels of a letter of 11 px
LINE = 13.0  # pixels of its line
GAP = 8.0  # pixels from the middle of a mark to its name
MARK = 6.0  # half the side of a mark
LONGEST = 18  # letters; a longer name is in the key only


class LabelSide(NamedTuple):
    """Where a name stands beside its mark: how a text is anchored there."""

    align: str  # as Vega calls it
    baseline: str
    dx: float
    dy: float


SIDES: Mapping[str, LabelSide] = {
    "right": LabelSide("left", "middle", GAP, 0.0),
    "left": LabelSide("right", "middle", -GAP, 0.0),
    "above": LabelSide("center", "bottom", 0.0, -GAP),
    "below": LabelSide("center", "top", 0.0, GAP),
}


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


class PlotAxis(NamedTuple):
    """An axis: pixels = length * (value - low) / (high - low)."""

    low: float
    high: float
    length: float

    def at(self, value: float) -> float:
        """Pixels from its beginning; the middle of an axis without an extent."""
        extent = self.high - self.low
        return self.length * (value - self.low) / extent if extent > 0 else self.length / 2


def label_sides(
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    across: PlotAxis,
    up: PlotAxis,
    sides: Sequence[str] = tuple(SIDES),
) -> list[str]:
    """For each mark the side its name fits on, "" where it fits on none of `sides`.

    `points` are (value along `across`, value along `up`). A name meets no mark and no other name,
    and those that come first are placed first.
    """
    middles = [(across.at(x), up.length - up.at(y)) for x, y in points]
    marks = [_Box(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in middles]
    placed: list[_Box] = []
    found = []
    for name, mark in zip(names, marks, strict=True):
        others = [*placed, *(one for one in marks if one is not mark)]
        found.append("")
        for side in sides if len(visible(name)) <= LONGEST else ():
            box = _box(side, mark, LETTER * len(visible(name)))
            inside = box.left >= -PADDING and box.right <= across.length + PADDING
            if inside and not any(box.meets(other) for other in others):
                placed.append(box)
                found[-1] = side
                break
    return found


def with_sides(
    rows: Sequence[Mapping[str, Any]],
    across: Sequence[str],
    up: Sequence[str],
    height: float,
    *,
    from_zero: bool = False,
) -> list[dict[str, Any]]:
    """Rows with the `side` their strategy's name fits on.

    `across` and `up` are the fields along the axes, first that of the mark and then the ends of
    its interval; `from_zero` = the axis across begins at zero.
    """
    axes = [
        _axis([row[field] for row in rows for field in fields], length, zero)
        for fields, length, zero in (
            (across, NARROW, from_zero),
            (up, height - 2 * PADDING, False),
        )
    ]
    points = [(row[across[0]], row[up[0]]) for row in rows]
    sides = label_sides([row["strategy"] for row in rows], points, axes[0], axes[1])
    return [{**row, "side": side} for row, side in zip(rows, sides, strict=True)]


def with_names(rows: Sequence[Mapping[str, Any]], height: float = 200.0) -> list[dict[str, Any]]:
    """Rows of curves; the last one of each has the side its strategy's name fits on.

    Names stand to the right of the lines' ends, in a column that is left free for them.
    """
    if not rows:
        return []
    last = {row["strategy"]: number for number, row in enumerate(rows)}
    ends = [rows[number] for number in last.values()]
    up = _axis([row[key] for row in rows for key in ("mean", "begin", "end")], height, False)
    sides = label_sides(
        [row["strategy"] for row in ends],
        [(0.0, row["mean"]) for row in ends],
        PlotAxis(0.0, 0.0, 2 * NARROW),
        up,
        ("right",),
    )
    by_row = dict(zip(last.values(), sides, strict=True))
    return [{**row, "side": by_row.get(number, "")} for number, row in enumerate(rows)]


def _axis(values: Iterable[float | None], length: float, zero: bool) -> PlotAxis:
    """From the smallest to the largest value."""
    known = [value for value in values if value is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    return PlotAxis(min(low, 0.0) if zero else low, high, length)


def _box(side: str, mark: _Box, width: float) -> _Box:
    x, y = (mark.left + mark.right) / 2, (mark.top + mark.bottom) / 2
    place = SIDES[side]
    left = {"left": 0.0, "right": -width, "center": -width / 2}[place.align] + x + place.dx
    top = {"middle": -LINE / 2, "bottom": -LINE, "top": 0.0}[place.baseline] + y + place.dy
    return _Box(left, top, left + width, top + LINE)
