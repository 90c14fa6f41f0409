"""Small-sample statistics over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Estimate(NamedTuple):
    """A mean over seeds with half the width of its 95 % interval; the width is None where one seed cannot give it."""

    mean: float
    half_width: float | None
    n: int

    def excludes_zero(self) -> bool:
        """Whether the interval lies wholly on one side of zero."""
        return self.half_width is not None and abs(self.mean) > self.half_width


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and Student-t interval (n - 1 degrees of freedom)."""
    n = len(values)
    if n == 0:
        return Estimate(math.nan, None, 0)
    if n == 1:
        return Estimate(float(values[0]), None, 1)
    from scipy.special import stdtrit  # the quantile alone: scipy.stats takes seconds to import

    spread = float(np.std(values, ddof=1))
    return Estimate(float(np.mean(values)), float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n), n)


def paired(values: dict[int, float], baseline: dict[int, float]) -> Estimate:
    """Mean difference over the seeds both have: what the seeds share cancels out."""
    shared = sorted(set(values) & set(baseline))
    return estimate([values[seed] - baseline[seed] for seed in shared])
