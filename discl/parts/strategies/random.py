"""One level an epoch, drawn uniformly (the paper's Random ablation)."""

from __future__ import annotations

from discl.core.interfaces import Mix, Moment


class Random:
    version = 1
    rebalanced = True
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, now: Moment) -> Mix:
        return {now.levels[int(now.rng.integers(len(now.levels)))]: 1.0}
