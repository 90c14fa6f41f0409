"""Which orders of the levels an order test trains, and what it takes to compare them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from discl.core.errors import UserError

Order = tuple[int, ...]

MOST_ORDERS = 720  # of six levels; more are sampled
LEAST_SEEDS = 2


def orders(levels: Sequence[int], count: int | Literal["all"], seed: int = 0) -> list[Order]:
    """All orders of `levels`, or `count` of them: ascending, descending, then distinct random ones.

    A larger count with the same seed begins with the orders of a smaller one, so that what was run
    is not run again. Raises UserError where there are not so many orders, or too many for "all".
    """
    ascending = tuple(sorted(levels))
    possible = possible_orders(ascending)
    if count == "all":
        if possible > MOST_ORDERS:
            raise UserError(
                f"{len(ascending)} levels have {possible:,} orders; take a number of them, e.g. 24"
            )
        return list(itertools.permutations(ascending))
    if isinstance(count, bool) or not isinstance(count, int):
        raise UserError(f'{count!r} orders: takes a whole number, or "all"')
    if not 2 <= count <= possible:
        raise UserError(
            f'{count} orders of {len(ascending)} levels: takes 2 to {possible:,}, or "all"'
        )
    rng = np.random.default_rng(seed)
    chosen = dict.fromkeys([ascending, ascending[::-1]])
    while len(chosen) < count:
        chosen[tuple(rng.permutation(ascending).tolist())] = None
    return list(chosen)


def possible_orders(levels: Sequence[int]) -> int:
    """How many orders levels have; raises UserError for one level, or a level named twice."""
    if len(levels) < 2:
        raise UserError(
            f"levels = {list(levels)} have one order only; an order test needs 2 levels or more"
        )
    if len(set(levels)) < len(levels):
        raise UserError(f"levels = {list(levels)} repeat themselves; name each once")
    return math.factorial(len(levels))


def check_equal_exposure(curriculum_epochs: int, levels: Sequence[int]) -> None:
    """Raise UserError where the epochs of a curriculum cannot be dealt equally to the levels.

    Orders would then differ in more than order.
    """
    share, rest = divmod(curriculum_epochs, len(levels))
    if curriculum_epochs > 0 and not rest:
        return
    epochs_a_level = {k * len(levels): k for k in (share, share + 1) if k > 0}
    nearest = sorted(epochs_a_level, key=lambda epochs: abs(epochs - curriculum_epochs))
    way_out = " or ".join(f"{epochs} ({epochs_a_level[epochs]} a level)" for epochs in nearest)
    raise UserError(
        f"train.curriculum_epochs = {curriculum_epochs} cannot be dealt equally to {len(levels)}"
        f" levels {list(levels)}, so orders would differ in what they show, too; set it to"
        f" {way_out}, within train.epochs"
    )


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise UserError where there are too few seeds to tell order from noise."""
    if len(set(seeds)) < LEAST_SEEDS:
        raise UserError(
            f"an order test of seeds {sorted(set(seeds))} cannot tell order from noise; give"
            f" {LEAST_SEEDS} seeds or more"
        )


def distance(order: Order, other: Order) -> int:
    """Pairs of levels that stand the other way round (Kendall 1938).

    0 for the same order, n(n-1)/2 for its reverse.
    """
    position = {level: i for i, level in enumerate(other)}
    pairs = itertools.combinations(order, 2)
    return sum(position[first] > position[second] for first, second in pairs)
