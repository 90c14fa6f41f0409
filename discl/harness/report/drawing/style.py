"""Colour, shape and dash of every strategy and level, the same on every chart and figure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from discl.core.levels import PHOTO
from discl.harness.report.headline import REAL, REBALANCED


class PlotStyle(NamedTuple):
    """How a strategy is drawn; shapes tell strategies apart without colour."""

    light: str  # colour on a light page
    dark: str  # colour on a dark page
    shape: str  # as Vega calls it
    dash: tuple[int, ...]


SHAPES = (
    "circle",
    "diamond",
    "square",
    "triangle-up",
    "triangle-down",
    "cross",
    "triangle-right",
    "triangle-left",
)
DASHES = ((), (6, 2), (2, 2), (8, 3, 2, 3), (10, 3))
# after Okabe and Ito (2008), darkened or lightened to 3:1 against the page
COLOURS = (
    ("#0072b2", "#56b4e9"),
    ("#c44e00", "#ff9d5c"),
    ("#00805d", "#3fcf9e"),
    ("#a5398b", "#f08bd4"),
    ("#8a6a00", "#f0c24b"),
    ("#b3261e", "#ff8a80"),
    ("#5b48c2", "#b3a4ff"),
)
NEUTRAL = {
    REAL: PlotStyle("#7d8894", "#8f9baa", "square", (2, 2)),
    REBALANCED: PlotStyle("#2f3842", "#dde4ec", "circle", (6, 2)),
}
BUILT_IN = (
    "static",
    "adaptive",
    "all_levels",
    "reverse",
    "random",
    "fixed",
    "text_only",
    "bandit",
    "competence",
    "order",
)
LEVEL_COLOURS = ("#5b2a86", "#b5418c", "#ee7b51", "#f6c667")
PHOTO_COLOUR = "#1b9e8f"  # from text only to the photo


def plot_styles(strategies: Iterable[str]) -> dict[str, PlotStyle]:
    """A style for each strategy; the built-in ones have the same wherever they appear."""
    names = dict.fromkeys(strategies)
    others = sorted(name for name in names if name not in BUILT_IN and name not in NEUTRAL)
    # seven colours and eight shapes: 56 strategies before two look alike
    styles = {
        name: PlotStyle(
            *COLOURS[number % len(COLOURS)],
            SHAPES[number % len(SHAPES)],
            DASHES[number % len(DASHES)],
        )
        for number, name in enumerate([*BUILT_IN, *others])
    }
    styles |= NEUTRAL
    return {name: styles[name] for name in names}


def level_colours(levels: Sequence[int]) -> dict[int, str]:
    """Level -> colour: dark for text only, light for high levels, and another hue for photos."""
    generated = sorted(level for level in levels if level != PHOTO)
    last = max(1, len(generated) - 1)
    colours = {level: _interpolated(number / last) for number, level in enumerate(generated)}
    return {**colours, PHOTO: PHOTO_COLOUR}


def level_words(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """A level as a key names it -> colour, of the levels in rows with the field `level`."""
    words = {0: "0 (text)", PHOTO: f"{PHOTO} (photo)"}
    colours = level_colours(sorted({row["level"] for row in rows}))
    return {words.get(level, str(level)): colour for level, colour in colours.items()}


def _interpolated(share: float) -> str:
    """A colour along `LEVEL_COLOURS`: the first for 0, the last for 1."""
    position = share * (len(LEVEL_COLOURS) - 1)
    low = min(int(position), len(LEVEL_COLOURS) - 2)
    start, end = (_channels(LEVEL_COLOURS[low + step]) for step in (0, 1))
    mixed = [round(a + (position - low) * (b - a)) for a, b in zip(start, end, strict=True)]
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _channels(colour: str) -> list[int]:
    """Red, green and blue of '#rrggbb'."""
    return [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
