"""The places of a scheduler's grid, each with what its first latents are made of."""

from __future__ import annotations

import copy
import math

import torch

from discl.core.errors import UserError
from discl.core.levels import Start
from discl.parts.generators.base.descent import ERRORS, Descent, Grid


def starts(grid: Grid) -> tuple[Start, ...]:
    """The places of a grid, from noise to photo.

    Each by what the scheduler does with a photo of ones and with noise of ones, so that it holds
    for whatever schedule, spacing or shift the scheduler has. Raises UserError where it adds no
    noise to a photo.
    """
    try:
        # nothing is denoised, so all places may share the scheduler's tensors
        found = tuple(
            _start(Descent(grid, begin, copy.copy(grid.scheduler))) for begin in range(grid.steps)
        )
    except ERRORS as error:
        raise UserError(
            f"generator.scheduler ({grid.name}): it adds no noise to a photo ({error}); set"
            " generator.scheduler to another"
        ) from error
    if any(math.isnan(start.signal) for start in found):
        raise UserError(
            f"generator.scheduler ({grid.name}): what it leaves of a photo is no number; repair the"
            " noise (beta_start, beta_end, trained_betas) in the checkpoint's scheduler_config.json"
        )
    return found


def _start(descent: Descent) -> Start:
    ones = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    nothing = torch.zeros_like(ones)
    photo = float(descent.noised(ones, nothing))
    noise = float(descent.noised(nothing, ones))
    return Start(float(descent.timestep), photo, noise)
