"""Every level in equal parts in every epoch: synthesis without a curriculum (DisCL, All-Level)."""

from __future__ import annotations

from discl.core.interfaces import EpochContext, Mix


class AllLevels:
    version = 1
    rebalanced = True
    ordered = False
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, context: EpochContext) -> Mix:
        return {level: 1 / len(context.levels) for level in context.levels}
