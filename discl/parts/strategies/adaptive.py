"""The level that is learned fastest, measured each epoch on a probe (DisCL, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from discl.core.interfaces import EpochContext, Mix, Probe


class Adaptive:
    """Takes the level whose probe images gained most probability of their true class during a burst
    on real photos.

    `burst` and `holdout` are the probe's (see `Probe`); `trim` drops gains outside 1.5
    interquartile ranges, as the published code does and the paper does not say: otherwise a few
    images that flip class pick the level.
    """

    version = 1
    rebalanced = True
    ordered = True
    keeps_hard_real = False

    def __init__(self, burst: float = 0.2, holdout: float = 0.2, trim: bool = True) -> None:
        """Settings:

        `burst`: share of an epoch's steps that the probe spends on real photos.
        `holdout`: share of each hard class's photos that is kept out to measure gains on.
        `trim`: leave gains outside of 1.5 interquartile ranges out, as the published code does.
        """
        self.probe = Probe(holdout=holdout, burst=burst)
        self.trim = trim

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, context: EpochContext) -> Mix:
        if not context.gains:  # nothing was measurable: no preference
            return {level: 1 / len(context.levels) for level in context.levels}
        means = {
            level: self._mean(context.gains[level])
            for level in context.levels
            if level in context.gains
        }
        # ties go to the lower level, as in the static order
        return {max(means, key=lambda level: (means[level], -level)): 1.0}

    def _mean(self, gains: Sequence[float]) -> float:
        values = np.asarray(gains, dtype=np.float64)
        if self.trim:
            low, high = np.quantile(values, [0.25, 0.75])
            reach = 1.5 * (high - low)
            values = values[(values >= low - reach) & (values <= high + reach)]
        return float(values.mean())
