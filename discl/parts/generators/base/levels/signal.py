"""`levels_as = "signal"`: a level is the percentage of the photo's signal that survives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from discl.core.errors import UserError
from discl.core.levels import PHOTO, TEXT_ONLY
from discl.parts.generators.base.descent import Grid
from discl.parts.generators.base.levels.starts import starts


@dataclass(frozen=True)
class SignalCounting:
    """Each level takes the start whose signal, `Start.signal`, is nearest to the level's.

    So a level means the same in every model, within a step of the model's grid. Level 0 is text
    alone: all steps.
    """

    shares: tuple[float, ...]  # signal of each place, from noise to photo
    scheduler: str
    again: Callable[[int], SignalCounting] | None = field(default=None, compare=False)

    @property
    def steps(self) -> int:
        return len(self.shares)

    def __call__(self, level: int) -> int:
        if level == TEXT_ONLY:
            return self.steps
        place = self._nearest(level)
        if place is None:
            raise UserError(self._why_not(level))
        return self.steps - place

    def _nearest(self, level: int) -> int | None:
        """The place for a level; None where text alone, or the photo itself, is nearer."""
        off = [abs(share - level / PHOTO) for share in self.shares]
        place = min(range(self.steps), key=off.__getitem__)
        is_text_alone = round(PHOTO * self.shares[place]) == 0
        return None if is_text_alone or 1 - level / PHOTO < off[place] else place

    def _why_not(self, level: int) -> str:
        reached = [each for each in range(1, PHOTO) if self._nearest(each) is not None]
        there = f"they reach {reached[0]} to {reached[-1]} %" if reached else "they reach no level"
        return (
            f'level {level} (levels_as = "signal"): none of the {self.steps} steps of'
            f" {self.scheduler} begins with about {level} % of the photo's signal; {there}; move"
            " the level, or raise generator.steps"
        )

    def with_steps(self, steps: int) -> SignalCounting:
        if self.again is None:
            raise UserError(f"generator.steps = {steps}: no other grid is known here")
        return self.again(steps)


@lru_cache(maxsize=64)
def counted_on(grid: Grid) -> SignalCounting:
    """The levels of a grid by their signal; computed once a grid."""
    return SignalCounting(tuple(start.signal for start in starts(grid)), grid.name)
