"""Low to high: every level gets an equal stage, text-like images first (the paper's Diverse-to-Specific, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from discl.spec.errors import UserError
from discl.spec.kinds import Mix, Moment


class Static:
    """`lengths` makes the stages unequal, one number a level: [14, 15, 15, 17] are epochs where the curriculum has 61 of
    them, and shares of it where it has not."""

    version = 1
    rebalanced = True
    probe = None

    def __init__(self, lengths: Sequence[int] = ()) -> None:
        if any(not isinstance(length, int) or length < 1 for length in lengths):
            raise UserError(f"strategy.static.lengths = {list(lengths)}: each level needs 1 or more")
        self.lengths = tuple(lengths)

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        if self.lengths and len(self.lengths) != len(levels):
            raise UserError(f"strategy.static.lengths = {list(self.lengths)} are {len(self.lengths)}, for {len(levels)} levels {list(levels)}")
        return levels

    def mix(self, now: Moment) -> Mix:
        # G(e) = Lambda[floor(e |Lambda| / E_CL)], in whole numbers, with e counted from 0
        lengths = self.lengths or (1,) * len(now.levels)
        ends = accumulate(lengths)
        stage = next(stage for stage, end in enumerate(ends) if now.epoch * sum(lengths) < end * now.epochs)
        return {now.levels[stage]: 1.0}
