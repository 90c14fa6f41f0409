"""Baseline: the photos, with their natural class frequencies."""

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
