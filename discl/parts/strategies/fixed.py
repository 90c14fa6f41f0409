"""The same level in every epoch (DisCL, Fixed Guidance); `level` picks it."""

from __future__ import annotations

from discl.core.errors import UserError
from discl.core.interfaces import EpochContext, Mix


class Fixed:
    version = 1
    rebalanced = True
    ordered = False
    probe = None

    def __init__(self, level: int = 50) -> None:
        """`level`: the one level that is used, in percent."""
        if not 0 <= level <= 100:
            raise UserError(f"strategy.fixed.level = {level} is outside 0..100")
        self.level = level

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return (self.level,)

    def mix(self, context: EpochContext) -> Mix:
        return {self.level: 1.0}
