"""Only images made from text, level 0 (DisCL, Text-only Guidance)."""

from __future__ import annotations

from discl.core.interfaces import EpochContext, Mix


class TextOnly:
    version = 1
    rebalanced = True
    ordered = False
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return (0,)

    def mix(self, context: EpochContext) -> Mix:
        return {0: 1.0}
