"""Guidance levels: how much of the photo survives, and how many denoising steps that takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from discl.core.errors import UserError

PHOTO = 100  # the level of the photo itself
TEXT_ONLY = 0
MOST_STEPS = 1000  # of a whole descent: as many as networks learn to denoise

_TRIED = 100  # numbers of steps, before the largest one is looked at
UNITS = ("steps", "signal")  # what a level counts: its share of the steps, or of the signal

# ---------------------------------------------------------------- where images begin


class Start(NamedTuple):
    """A place of a generator's grid, where images may begin."""

    timestep: float
    photo: float  # factor of the photo in the first latents there
    noise: float  # factor of the noise, of deviation 1

    @property
    def signal(self) -> float:
        """The share of the photo in the power of the first latents, 0 to 1.

        alpha^2 / (alpha^2 + sigma^2), with alpha the photo's factor and sigma the noise's: the
        signal-to-noise ratio (Kingma et al. 2021) as a share. It does not depend on how a scheduler
        scales latents. Where those keep their variance it is `alpha_bar` (Ho et al. 2020).
        """
        power = self.photo**2 + self.noise**2
        return self.photo**2 / power if power else 1.0


@dataclass(frozen=True)
class LevelGrid:
    """The places that a generator's levels begin at, from noise to photo."""

    scheduler: str
    starts: tuple[Start, ...]
    is_flow: bool  # the latents of a start are (1 - sigma) photo + sigma noise
    size: tuple[int, int] | None  # (height, width) it is of; None = that does not matter
    noise_at_0: bool  # level 0 begins from noise alone, not from the first place's latents

    def sigma(self, start: Start) -> float:
        """How schedulers count noise: its share in a flow, else its ratio to the photo."""
        if self.is_flow:
            return start.noise
        return start.noise / start.photo if start.photo else math.inf


# ---------------------------------------------------------------- levels in denoising steps


class LevelCounting(Protocol):
    """How many denoising steps levels take, where that is not their share of the grid."""

    @property
    def steps(self) -> int:
        """Of a whole descent."""

    def __call__(self, level: int) -> int:
        """Of an image of `level`, 0 to 99; raises UserError where no start gives that level."""

    def with_steps(self, steps: int) -> LevelCounting:
        """The same with another number of steps; raises UserError where there is no such grid."""


Counting = int | LevelCounting  # the steps of a whole descent, of which a level takes its share


def counting_of(generator: Any, size: tuple[int, int] | None = None) -> Counting:
    """How a generator counts levels, with photos of `size` (height, width); None = not known yet.

    One that counts them otherwise than by their share of its steps says so by `counting`.
    """
    own = getattr(generator, "counting", None)
    counting: Counting = own(size) if own else getattr(generator, "steps", 0)
    return counting


def denoising_steps(level: int, counting: Counting) -> int:
    """How many denoising steps an image of `level` gets (paper: t = (1 - lambda) T).

    A share of the grid is rounded half up in whole numbers: truncating a float loses a step at
    level 90 of 50 (int(50 * (1 - 0.9)) is 4). Raises UserError for a level outside 0 to 100, and
    for one that does not begin anywhere by a counting of another kind.
    """
    if not 0 <= level <= PHOTO:
        raise UserError(f"level {level} is outside 0..100 (0 = text only, 100 = the photo)")
    if isinstance(counting, int):
        return ((PHOTO - level) * counting * 2 + PHOTO) // (PHOTO * 2)
    return 0 if level == PHOTO else counting(level)


def levels_made(counting: Counting) -> dict[int, int]:
    """Every level that takes a denoising step, 0 to 99, with how many it takes."""
    found = {}
    for level in range(PHOTO):
        try:
            found[level] = denoising_steps(level, counting)
        except UserError:  # none begins there
            continue
    return {level: taken for level, taken in found.items() if taken}


def whole_descent(counting: Counting) -> int:
    """The steps of an image of text alone."""
    return counting if isinstance(counting, int) else counting.steps


def check_levels(levels: Sequence[int], counting: Counting) -> tuple[int, ...]:
    """`levels` in ascending order.

    Raises UserError where one is out of range, is listed twice, leaves no denoising step, or starts
    at the same step as another; with the fewest steps that would do, where more of them help.
    """
    steps = whole_descent(counting)
    taken: dict[int, int] = {}
    for level in levels:
        start = denoising_steps(level, counting)
        if levels.count(level) > 1:
            raise UserError(f"level {level} is listed twice; name each level once")
        if level == PHOTO:
            continue
        if start == 0:
            raise UserError(
                f"level {level} leaves no denoising step out of {steps}; lower the level, or"
                f" {_with_more(levels, counting)}"
            )
        if start in taken:
            raise UserError(
                f"levels {taken[start]} and {level} both start {start} steps before the end of"
                f" {steps}, so they would be one; drop one, or {_with_more(levels, counting)}"
            )
        taken[start] = level
    return tuple(sorted(levels))


def _with_more(levels: Sequence[int], counting: Counting) -> str:
    """What number of steps helps."""
    steps = whole_descent(counting)
    fewest = fewest_steps(levels, counting)
    if fewest is None:
        return f"move one of them: no number of steps up to {MOST_STEPS} tells all apart"
    return f"set generator.steps = {fewest}, the fewest above {steps} that tell all levels apart"


def fewest_steps(levels: Sequence[int], counting: Counting) -> int | None:
    """The fewest steps, more than there are, at which each level starts at a step of its own.

    None where a counting that is no share of the grid finds none up to MOST_STEPS.
    """
    if isinstance(counting, int):  # 100 are always enough
        more = range(counting + 1, counting + 1 + PHOTO)
        return next((steps for steps in more if _are_apart(levels, steps)), None)
    for steps in range(counting.steps + 1, MOST_STEPS + 1):
        # the finer a grid, the longer it takes: where the finest one does not do, none is tried
        is_far = steps == counting.steps + _TRIED
        if is_far and not _are_apart_with(levels, counting, MOST_STEPS):
            return None
        if _are_apart_with(levels, counting, steps):
            return steps
    return None


def _are_apart_with(levels: Sequence[int], counting: LevelCounting, steps: int) -> bool:
    """False also where there is no grid of so many steps."""
    try:
        return _are_apart(levels, counting.with_steps(steps))
    except UserError:
        return False


def _are_apart(levels: Sequence[int], counting: Counting) -> bool:
    try:
        starts = [denoising_steps(level, counting) for level in {*levels} - {PHOTO}]
    except UserError:  # one begins nowhere
        return False
    return 0 not in starts and len({*starts}) == len(starts)


def strength(level: int, steps: int) -> float:
    """The `strength` with which diffusers takes exactly `denoising_steps(level, steps)` steps.

    It computes `int(steps * strength)`.
    """
    taken = denoising_steps(level, steps)
    return 1.0 if taken == steps else (taken + 0.5) / steps
