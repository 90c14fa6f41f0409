"""The lowest and the highest level in equal parts all the time: two levels, without an order."""

from __future__ import annotations

from discl.core.interfaces import EpochContext, Mix


class Ends:
    """The lowest and the highest level in equal parts all the time."""

    version = 1
    rebalanced = True
    ordered = False
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(dict.fromkeys((levels[0], levels[-1])))

    def mix(self, context: EpochContext) -> Mix:
        used = self.uses(context.levels)
        return {level: 1 / len(used) for level in used}
