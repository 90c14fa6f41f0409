"""The `strength` at which a pipeline takes so many steps: diffusers' classes round it in two ways.

One truncates steps * strength, the other truncates what is left out; both are asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from discl.core.errors import UserError
from discl.core.levels import denoising_steps


def strength_of(pipeline_class: type[Any], level: int, steps: int) -> float:
    """The strength by which a class takes `denoising_steps(level, steps)` of `steps` steps.

    That share of them itself, wherever it gives that number. Raises UserError where none does.
    """
    wanted = denoising_steps(level, steps)
    for strength in _candidates(wanted, steps):
        taken = _taken(pipeline_class, strength, steps)
        if wanted == (int(steps * strength) if taken is None else taken):
            return strength
    raise UserError(
        f"{pipeline_class.__name__} takes {wanted} of {steps} steps at no strength, as level"
        f" {level} would; set another generator.steps"
    )


def _candidates(wanted: int, steps: int) -> Iterator[float]:
    share = wanted / steps
    yield share
    yield math.nextafter(share, 0)
    yield math.nextafter(share, 1)
    yield (wanted - 0.5) / steps
    yield min(1.0, (wanted + 0.5) / steps)


def _taken(pipeline_class: type[Any], strength: float, steps: int) -> int | None:
    """The steps that a class takes; None where it counts in another way than the rest."""
    count = getattr(pipeline_class, "get_timesteps", None)
    scheduler = SimpleNamespace(
        timesteps=list(range(steps)), order=1, set_begin_index=lambda begin: None
    )
    stub = SimpleNamespace(scheduler=scheduler)
    for given in ((steps, strength, "cpu"), (steps, strength)):
        try:
            timesteps, _ = count(stub, *given)  # type: ignore[misc]
            return len(timesteps)
        except (TypeError, AttributeError):
            continue
    return None
