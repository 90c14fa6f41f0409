"""Baseline: the photos as they come, long tail and all."""

from __future__ import annotations

from discl.core.interfaces import EpochContext, Mix


class RealOnly:
    version = 1
    rebalanced = False
    ordered = False
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return ()

    def mix(self, context: EpochContext) -> Mix:
        return {100: 1.0}
