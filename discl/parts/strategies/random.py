"""One level an epoch, drawn uniformly (DisCL, Random)."""

from __future__ import annotations

from discl.core.interfaces import EpochContext, Mix


class Random:
    version = 1
    rebalanced = True
    ordered = False
    keeps_hard_real = False
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, context: EpochContext) -> Mix:
        return {context.levels[int(context.rng.integers(len(context.levels)))]: 1.0}
