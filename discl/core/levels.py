"""Guidance levels: how much of the photo survives, and how many denoising steps that takes."""

from __future__ import annotations

from collections.abc import Sequence

from discl.core.errors import UserError

PHOTO = 100  # the level of the photo itself
TEXT_ONLY = 0


def denoising_steps(level: int, steps: int) -> int:
    """How many of `steps` denoising steps an image of `level` gets (paper: t = (1 - lambda) T).

    Rounded half up in whole numbers: truncating a float loses a step at level 90 of 50 (int(50 * (1
    - 0.9)) is 4). Raises UserError for a level outside 0 to 100.
    """
    if not 0 <= level <= PHOTO:
        raise UserError(f"level {level} is outside 0..100 (0 = text only, 100 = the photo)")
    return ((PHOTO - level) * steps * 2 + PHOTO) // (PHOTO * 2)


def check_levels(levels: Sequence[int], steps: int) -> tuple[int, ...]:
    """`levels` in ascending order.

    Raises UserError where one is out of range, is listed twice, leaves no denoising step, or starts
    at the same step as another.
    """
    taken: dict[int, int] = {}
    for level in levels:
        count = denoising_steps(level, steps)
        if levels.count(level) > 1:
            raise UserError(f"level {level} is listed twice; name each level once")
        if level == PHOTO:
            continue
        if count == 0:
            raise UserError(
                f"level {level} leaves no denoising step out of {steps}; lower the level or raise"
                " generator.steps"
            )
        if count in taken:
            raise UserError(
                f"levels {taken[count]} and {level} both start {count} steps before the end of"
                f" {steps}, so they would be one; drop one or raise generator.steps"
            )
        taken[count] = level
    return tuple(sorted(levels))


def strength(level: int, steps: int) -> float:
    """The `strength` with which diffusers takes exactly `denoising_steps(level, steps)` steps.

    It computes `int(steps * strength)`.
    """
    count = denoising_steps(level, steps)
    return 1.0 if count == steps else (count + 0.5) / steps
