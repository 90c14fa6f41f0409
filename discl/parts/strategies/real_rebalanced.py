"""Baseline: the class shares of the curricula, without synthetic images."""

from __future__ import annotations

from discl.core.interfaces import EpochContext, Mix


class RealRebalanced:
    version = 1
    rebalanced = True
    ordered = False
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return ()

    def mix(self, context: EpochContext) -> Mix:
        return {100: 1.0}
