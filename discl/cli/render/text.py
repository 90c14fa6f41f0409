"""Curves and numbers on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

BARS = "▁▂▃▄▅▆▇█"
MAX_BARS = 60  # characters of a curve


def spark(values: Sequence[float], low: float | None = None, high: float | None = None) -> str:
    """A curve as one line of bars; NaN and infinity are blanks.

    `low` and `high` are the values of the smallest and largest bar, by default those of the curve.
    """
    if len(values) > MAX_BARS:
        values = [values[bar * len(values) // MAX_BARS] for bar in range(MAX_BARS)]
    finite_values = [value for value in values if math.isfinite(value)]
    low = min(finite_values, default=0.0) if low is None else low
    high = max(finite_values, default=0.0) if high is None else high
    # halves: the span of the largest numbers is infinite
    half_span = (high / 2 - low / 2) or 1.0
    return "".join(
        BARS[min(7, int(8 * ((value / 2 - low / 2) / half_span)))] if math.isfinite(value) else " "
        for value in values
    )


def finite(value: Any) -> Any:
    """`value` as JSON can express it: null for NaN and infinity, and keys that are strings."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def percent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else str(value)


def points(difference: float, error: float | None) -> str:
    """A difference in percentage points, with its standard error where it is known."""
    if not math.isfinite(difference):
        return str(difference)
    return f"{100 * difference:+.1f}" + ("" if error is None else f" ± {100 * error:.1f}")
