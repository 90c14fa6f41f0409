"""Low to high: every level gets an equal stage, text-like images first (the paper's Diverse-to-Specific, Algorithm 1)."""

from __future__ import annotations

from discl.spec.kinds import Mix, Moment


class Static:
    version = 1
    rebalanced = True
    probe = None

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, now: Moment) -> Mix:
        # G(e) = Lambda[floor(e |Lambda| / E_CL)], in whole numbers, with e counted from 0
        return {now.levels[now.epoch * len(now.levels) // now.epochs]: 1.0}
