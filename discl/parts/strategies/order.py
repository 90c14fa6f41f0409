"""Control: the levels in any order, in equal stages, so that nothing but order differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from discl.core.errors import UserError
from discl.core.interfaces import EpochContext, Mix
from discl.parts.strategies._stages import ends_by_length, stage_of, whole_numbers


class Order:
    """`order` names every level of the benchmark once; empty is ascending, as `static`.

    Made for the order test: all orders use every level for the same number of epochs, so that they
    differ in nothing but order. Therefore no level may be missing.
    """

    version = 1
    rebalanced = True
    ordered = True
    probe = None

    def __init__(self, order: Sequence[int] = ()) -> None:
        """`order`: every level of the benchmark once; empty is ascending."""
        self.order = whole_numbers("strategy.order.order", order)
        if repeated := [level for level, times in Counter(self.order).items() if times > 1]:
            raise UserError(
                f"strategy.order.order = {list(order)} names level {repeated[0]} twice; name every"
                " level once"
            )

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        """All levels. Raises UserError where `order` names others, or not all of them."""
        if not self.order:
            return levels
        given = f"strategy.order.order = {list(self.order)}"
        if strange := [level for level in self.order if level not in levels]:
            raise UserError(
                f"{given} names level {strange[0]}, which is not among the levels {list(levels)}"
            )
        if absent := [level for level in levels if level not in self.order]:
            raise UserError(
                f"{given} leaves out level {absent[0]} of {list(levels)}; every order must see all"
                " levels, or they are not comparable"
            )
        return levels

    def mix(self, context: EpochContext) -> Mix:
        levels = self.order or self.uses(context.levels)
        return {
            levels[stage_of(context.epoch, ends_by_length(context.epochs, [1] * len(levels)))]: 1.0
        }
