"""Low to high: equal stages, text-like images first (DisCL, Diverse-to-Specific, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Sequence

from discl.core.errors import UserError
from discl.core.interfaces import EpochContext, Mix
from discl.parts.strategies._stages import (
    check_pacing,
    check_start,
    ends_by_length,
    ends_by_pacing,
    levels_from,
    stage_of,
    whole_numbers,
)


class Static:
    """A stage for each level that is not below `start`; no image of lower levels is made.

    `lengths` sets the relative lengths of the stages, one number for each level that is left: [14,
    15, 15, 17] are epochs where the curriculum has 61 of them. `pacing` sets them by one number:
    stage k of n ends at the share (k/n)**pacing of the curriculum, so that a pacing above 1
    shortens the stages of low levels. A stage too short for an epoch is skipped.
    """

    version = 1
    rebalanced = True
    ordered = True
    probe = None

    def __init__(self, lengths: Sequence[int] = (), start: int = 0, pacing: float = 1.0) -> None:
        """Settings:

        `lengths`: relative lengths of the stages, one for each level that is left; empty takes
            `pacing`.
        `start`: the lowest level that is used.
        `pacing`: above 1 shortens the stages of low levels, below 1 lengthens them.
        """
        self.lengths = whole_numbers("strategy.static.lengths", lengths)
        if any(length < 1 for length in self.lengths):
            raise UserError(
                f"strategy.static.lengths = {list(lengths)}: each level needs 1 or more"
            )
        self.start = check_start("static", start)
        self.pacing = check_pacing("static", pacing)
        if self.lengths and self.pacing != 1:
            raise UserError(
                f"strategy.static.lengths = {list(lengths)} and pacing = {pacing:g} exclude"
                " each other; drop one"
            )

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        """Levels from `start` on. Raises UserError where `lengths` are not as many."""
        used = levels_from("static", self.start, levels)
        if self.lengths and len(self.lengths) != len(used):
            raise UserError(
                f"strategy.static.lengths = {list(self.lengths)} has {len(self.lengths)} numbers"
                f" for the {len(used)} levels {list(used)}; give one for each"
            )
        return used

    def mix(self, context: EpochContext) -> Mix:
        # G(e) = Lambda[floor(e |Lambda| / E_CL)], in whole numbers, with e counted from 0
        levels = self.uses(context.levels)
        ends = (
            ends_by_length(context.epochs, self.lengths)
            if self.lengths
            else ends_by_pacing(context.epochs, len(levels), self.pacing)
        )
        return {levels[stage_of(context.epoch, ends)]: 1.0}
