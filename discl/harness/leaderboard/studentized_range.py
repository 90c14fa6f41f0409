"""The studentized range (Tukey), Student's t and Fisher's F, fast enough for every table.

scipy.stats has the same distributions, but takes seconds to import and milliseconds a quantile, and
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


def student_tail_begin(freedom: float, above: float) -> float:
    """What a Student variable exceeds with the chance `above`, 0.5 at most; `freedom` is 0.5 up."""
    t = 1.0
    for _ in range(60):  # Newton: three to six steps
        over = _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2 - above
        scale = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
        height = math.exp(scale - (freedom + 1) / 2 * math.log1p(t * t / freedom))
        step = over * math.sqrt(freedom * math.pi) / height
        t = max(t / 4, t + step)
        if abs(step) <= 1e-14 * t:
            break
    return t


def fisher_beyond(above: float, below: float, ratio: float) -> float:
    """Chance that F with `above` and `below` degrees of freedom exceeds `ratio`, 0 or more."""
    return _incomplete_beta(below / 2, above / 2, below / (below + above * ratio))


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), by its continued fraction (Abramowitz and Stegun, 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction for the other tail converges faster
        return 1 - _incomplete_beta(b, a, 1 - x)
    beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    front = math.exp(a * math.log(x) + b * math.log1p(-x) - beta) / a
    tiny = 1e-300
    # Lentz's way: the ratio of two sequences, neither of which is kept
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    value = d
    for m in range(1, 2_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * value
