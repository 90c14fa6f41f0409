"""Draws a level, more often the faster the model learns it (after Exp3, Auer et al. 2002)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import EpochContext, Mix, Probe


class Bandit:
    """As `adaptive`, but over the probes of all epochs, and every level stays possible.

    Each epoch's probe gains are standardised over the levels, because gains shrink during training.
    The score of a level is their mean over the epochs so far; an epoch weighs `discount` times the
    one after it. A level is drawn in proportion to exp(`sharpness` * score), or uniformly with
    probability `explore`. The probe measures every level every epoch, so the scores need none of
    Exp3's importance weighting.
    """

    version = 1
    rebalanced = True
    ordered = True
    keeps_hard_real = False

    def __init__(
        self,
        explore: float = 0.2,
        discount: float = 0.8,
        sharpness: float = 2.0,
        burst: float = 0.2,
        holdout: float = 0.2,
    ) -> None:
        """Settings:

        `explore`: probability with which a level is drawn uniformly.
        `discount`: what an epoch's gains weigh, as a share of the epoch after it.
        `sharpness`: how strictly better levels are preferred; 0 draws all alike.
        `burst`: share of an epoch's steps that the probe spends on real photos.
        `holdout`: share of each hard class's photos that is kept out to measure gains on.
        """
        for name, share in (("explore", explore), ("discount", discount)):
            if not 0 <= share <= 1:
                raise UserError(f"strategy.bandit.{name} = {share} is outside 0..1")
        if sharpness < 0:
            raise UserError(
                f"strategy.bandit.sharpness = {sharpness} would prefer the levels that are not"
                " being learnt; it takes 0 or more"
            )
        self.probe = Probe(holdout=holdout, burst=burst)
        self.explore = explore
        self.discount = discount
        self.sharpness = sharpness

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, context: EpochContext) -> Mix:
        wish = np.exp(self.sharpness * self._scores(context))
        chances = (1 - self.explore) * wish / wish.sum() + self.explore / len(wish)
        return {context.levels[int(context.rng.choice(len(chances), p=chances))]: 1.0}

    def _scores(self, context: EpochContext) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Mean standardised gain of each level [levels]; 0 for a level that was not measured."""
        latest = {level: float(np.mean(gains)) for level, gains in context.gains.items()}
        total = np.zeros(len(context.levels))
        weights = np.zeros(len(context.levels))
        for age, gains in enumerate(
            (latest, *(report.gains for report in reversed(context.history)))
        ):
            known = np.array([level in gains for level in context.levels])
            weights += self.discount**age * known
            total += self.discount**age * _standardised(gains, context.levels)
        return np.divide(total, weights, out=np.zeros_like(total), where=weights > 0)


def _standardised(
    gains: Mapping[int, float], levels: Sequence[int]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Gains [levels] with mean 0 and deviation 1 over the measured levels; 0 for the others."""
    measured = np.array([gains[level] for level in levels if level in gains])
    if not len(measured) or not measured.std() > 0:
        return np.zeros(len(levels))
    return np.array(
        [
            (gains[level] - measured.mean()) / measured.std() if level in gains else 0.0
            for level in levels
        ]
    )
