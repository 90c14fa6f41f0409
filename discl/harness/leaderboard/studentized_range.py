"""Quantiles of the studentized range (Tukey), fast enough for every pair of every column.

scipy.stats has the same distribution, but takes seconds to import and milliseconds a quantile; the
tests hold the two against each other.
"""

from __future__ import annotations

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
    from scipy.special import gammaincinv

    widths = np.linspace(0.0, 12.0, 361)
    within = _range_cdf(rows, widths)
    tried = np.geomspace(1.0, 120.0, 200)
    inverse = np.linspace(0.0, 1.0, 25)
    likely = (np.arange(NODES) + 0.5) / NODES
    quantiles = []
    for freedom in 1 / np.maximum(inverse, 1e-4):
        errors = np.sqrt(2 * gammaincinv(freedom / 2, likely) / freedom)
        held = np.interp(tried[:, None] * errors, widths, within, right=1.0).mean(1)
        quantiles.append(float(np.interp(CONFIDENCE, held, tried)))
    return inverse, np.array(quantiles)


def _range_cdf(rows: int, widths: Values) -> Values:
    """Chance [w] that the range of `rows` standard normal values is below `widths` [w]."""
    from scipy.special import ndtr

    z = np.linspace(-8.0, 8.0, 241)
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    above = (ndtr(z) - ndtr(z - widths[:, None])) ** (rows - 1)
    return np.asarray(rows * np.trapezoid(density * above, z, axis=1))
