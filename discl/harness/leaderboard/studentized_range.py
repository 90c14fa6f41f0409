"""Quantiles of the studentized range (Tukey), fast enough for every pair of every column.

scipy.stats has the same distribution, but takes seconds to import and milliseconds a quantile, and
scipy.special alone a quarter of a second, which every table would wait for; the tests hold these
and ours against each other.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

Values = np.ndarray[Any, np.dtype[np.float64]]
CONFIDENCE = 0.95
NODES = 300  # equally likely values of the standard error that a quantile averages over


def upper_quantile(rows: int, freedom: Values) -> Values:
    """The range of `rows` means in standard errors that chance exceeds in 5 %, by `freedom` [...].

    Degrees of freedom are at least 1 and may be fractions; interpolated in their inverse.
    """
    inverse, quantiles = _table(rows)
    return np.asarray(np.interp(1 / np.maximum(freedom, 1.0), inverse, quantiles))


@cache
def _table(rows: int) -> tuple[Values, Values]:
    """1 / degrees of freedom [m] and the quantile [m]."""
    widths = np.linspace(0.0, 12.0, 361)
    within = _range_cdf(rows, widths)
    tried = np.geomspace(1.0, 120.0, 200)
    inverse = np.linspace(0.0, 1.0, 25)
    likely = (np.arange(NODES) + 0.5) / NODES
    quantiles = []
    for freedom in 1 / np.maximum(inverse, 1e-4):
        errors = _standard_errors(float(freedom), likely)
        held = np.interp(tried[:, None] * errors, widths, within, right=1.0).mean(1)
        quantiles.append(float(np.interp(CONFIDENCE, held, tried)))
    return inverse, np.array(quantiles)


def _standard_errors(freedom: float, likely: Values) -> Values:
    """Quantiles [p] of an estimated standard error in true ones: chi over the root of `freedom`."""
    spread = 1 / math.sqrt(2 * freedom)
    low, high = max(0.0, 1 - 10 * spread), 1 + 14 * spread
    edges = low + (high - low) * np.linspace(0.0, 1.0, 20_001) ** 2  # denser near zero
    middle = (edges[1:] + edges[:-1]) / 2
    density = np.exp((freedom - 1) * np.log(middle) - freedom * (middle**2 - 1) / 2)
    below = np.concatenate([[0.0], np.cumsum(density * np.diff(edges))])
    return np.asarray(np.interp(likely, below / below[-1], edges))


def _range_cdf(rows: int, widths: Values) -> Values:
    """Chance [w] that the range of `rows` standard normal values is below `widths` [w]."""
    z = np.linspace(-8.0, 8.0, 241)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    above = (_normal_cdf(z) - _normal_cdf(z - widths[:, None])) ** (rows - 1)
    return np.asarray(rows * np.trapezoid(density * above, z, axis=1))


def _normal_cdf(z: Values) -> Values:
    erfc = np.frompyfunc(math.erfc, 1, 1)
    return np.asarray(erfc(-z / math.sqrt(2)) / 2, np.float64)


@cache
def student_quantile(freedom: int) -> float:
    """What a Student variable of so many degrees of freedom, one or more, exceeds in 2.5 %."""
    low, high = 1.9, 12.8  # those of the normal distribution and of one degree
    while high - low > 4e-15 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _student_within(middle, freedom) < CONFIDENCE:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _student_within(t: float, freedom: int) -> float:
    """Chance that a Student variable is between -t and t (Abramowitz and Stegun, 26.7.3 and 4)."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term = math.sin(angle) * (math.cos(angle) if odd else 1.0)
    total = 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= k / (k + 1) * math.cos(angle) ** 2
    return 2 / math.pi * (angle + total) if odd else total
