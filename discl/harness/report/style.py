"""Colour and shape of every strategy and level: told apart without colour, and alike on every
chart, page and figure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from discl.core.levels import PHOTO
from discl.harness.report.headline import REAL, REBALANCED


class PlotStyle(NamedTuple):
    """How a strategy is drawn."""

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
USUAL = (
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
LEVELS = ("#5b2a86", "#b5418c", "#ee7b51", "#f6c667")
PHOTO_COLOUR = "#1b9e8f"  # from text only to the photo


def plot_styles(strategies: Iterable[str]) -> dict[str, PlotStyle]:
    """A look for each strategy; the usual ones have the same wherever they appear."""
    names = dict.fromkeys(strategies)
    others = [*USUAL, *sorted(name for name in names if name not in USUAL and name not in NEUTRAL)]
    found = {
        name: PlotStyle(
            *COLOURS[place % len(COLOURS)], SHAPES[place % len(SHAPES)], DASHES[place % len(DASHES)]
        )
        for place, name in enumerate(others)
    } | NEUTRAL  # seven colours and eight shapes: 56 strategies before two look alike
    return {name: found[name] for name in names}


def level_colours(levels: Sequence[int]) -> dict[int, str]:
    """Level -> colour: dark for text only, light for high levels, and one of its own for photos."""
    made = sorted(level for level in levels if level != PHOTO)
    found = {level: _between(place / max(1, len(made) - 1)) for place, level in enumerate(made)}
    return found | {PHOTO: PHOTO_COLOUR}


def _between(share: float) -> str:
    """A colour along `LEVELS`; 0 the first, 1 the last."""
    at = share * (len(LEVELS) - 1)
    low = min(int(at), len(LEVELS) - 2)
    ends = [[int(LEVELS[low + i][k : k + 2], 16) for k in (1, 3, 5)] for i in (0, 1)]
    return "#" + "".join(
        f"{round(a + (at - low) * (b - a)):02x}" for a, b in zip(*ends, strict=True)
    )
