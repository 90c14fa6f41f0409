"""High to low: the static curriculum run backwards (DisCL, Specific-to-Diverse)."""

from __future__ import annotations

from discl.core.interfaces import EpochContext, Mix
from discl.parts.strategies._stages import (
    check_pacing,
    check_start,
    ends_by_pacing,
    levels_from,
    stage_of,
)


class Reverse:
    """`start` and `pacing` are those of `static`: levels below `start` are left out.

    A `pacing` above 1 shortens the stages that come first, which here are those of high levels.
    """

    version = 1
    rebalanced = True
    ordered = True
    probe = None

    def __init__(self, start: int = 0, pacing: float = 1.0) -> None:
        """Settings:

        `start`: the lowest level that is used.
        `pacing`: above 1 shortens the stages that come first, which are those of high levels.
        """
        self.start = check_start("reverse", start)
        self.pacing = check_pacing("reverse", pacing)

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels_from("reverse", self.start, levels)

    def mix(self, context: EpochContext) -> Mix:
        levels = self.uses(context.levels)[::-1]
        return {
            levels[
                stage_of(context.epoch, ends_by_pacing(context.epochs, len(levels), self.pacing))
            ]: 1.0
        }
