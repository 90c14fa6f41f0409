"""Stages of a curriculum: which levels it takes, and the epoch at which each stage ends."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from discl.core.errors import UserError
from discl.core.levels import PHOTO


def check_start(strategy: str, start: int) -> int:
    """`start`. Raises UserError where it is no level."""
    if not 0 <= start <= PHOTO:
        raise UserError(f"strategy.{strategy}.start = {start} is outside 0..100")
    return start


def check_pacing(strategy: str, pacing: float) -> float:
    """`pacing`. Raises UserError where it is not above 0."""
    if not 0 < pacing < math.inf:
        raise UserError(
            f"strategy.{strategy}.pacing = {pacing}: takes a number above 0; 1 makes all stages"
            " equal"
        )
    return float(pacing)


def whole_numbers(setting: str, given: Any) -> tuple[int, ...]:
    """`given` as a tuple of whole numbers, since the registry does not look into lists.

    Raises UserError where it is none.
    """
    if not isinstance(given, list | tuple) or any(
        not isinstance(number, int) or isinstance(number, bool) for number in given
    ):
        raise UserError(f"{setting} = {given!r}: takes a list of whole numbers")
    return tuple(given)


def levels_from(strategy: str, start: int, levels: tuple[int, ...]) -> tuple[int, ...]:
    """Those of `levels` that are not below `start`. Raises UserError where there is none."""
    used = tuple(level for level in levels if level >= start)
    if not used:
        raise UserError(
            f"strategy.{strategy}.start = {start} is above every level of {list(levels)}; take one"
            " of them"
        )
    return used


def ends_by_length(epochs: int, lengths: Sequence[int]) -> list[int]:
    """The first epoch after each stage, of stages with these relative lengths."""
    return [-(-done * epochs // sum(lengths)) for done in accumulate(lengths)]


def ends_by_pacing(epochs: int, stages: int, pacing: float) -> list[int]:
    """The first epoch after each stage, where stage k of n ends at (k/n)**pacing of `epochs`."""
    if pacing == 1:
        return ends_by_length(epochs, [1] * stages)
    # a power may miss a whole number by its last digit, which must not cost or give an epoch
    return [math.ceil((k / stages) ** pacing * epochs - 1e-9) for k in range(1, stages + 1)]


def stage_of(epoch: int, ends: Sequence[int]) -> int:
    """Index of the stage an epoch lies in; stages without an epoch are skipped."""
    return bisect_right(ends, epoch)
