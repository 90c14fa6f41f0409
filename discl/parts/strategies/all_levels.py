"""Every level in equal parts all the time: synthesis without a curriculum (the paper's All-Level
Guidance).
"""

from __future__ import annotations

from discl.core.interfaces import Mix, Moment


class AllLevels:
    version = 1
    rebalanced = True
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, now: Moment) -> Mix:
        return {level: 1 / len(now.levels) for level in now.levels}
