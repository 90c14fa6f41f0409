"""High to low: the static curriculum run backwards (the paper's Specific-to-Diverse ablation)."""

from __future__ import annotations

from discl.spec.kinds import Mix, Moment


class Reverse:
    version = 1
    rebalanced = True
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, now: Moment) -> Mix:
        return {now.levels[::-1][now.epoch * len(now.levels) // now.epochs]: 1.0}
