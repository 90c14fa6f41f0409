"""Settings of a scheduler that a benchmark changes, such as Karras' spacing of noise levels."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from discl.core.errors import UserError, reason, shown, unknown
from discl.parts.generators.base.schedulers import SCHEDULERS

_TRAINED = ("prediction_type", "num_train_timesteps")  # facts about the network, no choices


def with_arguments(scheduler: Any, arguments: Mapping[str, Any]) -> Any:
    """A scheduler with some of its settings replaced.

    Raises UserError for a setting that its class has not, that it cannot work with, or that says
    how the network was trained, which nobody can choose afterwards.
    """
    if not arguments:
        return scheduler
    kind = type(scheduler)
    accepted = list(inspect.signature(kind.__init__).parameters)[1:]
    need = SCHEDULERS.get(kind.__name__)
    for key, value in arguments.items():
        setting = f"generator.scheduler_arguments.{key} = {shown(value)}"
        if key not in accepted:
            raise unknown(f"setting of {kind.__name__}", key, accepted)
        if need and need.settings.get(key, value) != value:
            raise UserError(f"{setting}: it is {need.settings[key]!r}, since {need.reason}")
        if key in _TRAINED and value != scheduler.config.get(key):
            raise UserError(
                f"{setting}: the checkpoint was trained with"
                f" {shown(scheduler.config.get(key))}; leave it out"
            )
    given = ", ".join(f"{key} = {shown(value)}" for key, value in arguments.items())
    try:
        made = kind.from_config(scheduler.config, **arguments)
    except (ValueError, TypeError, NotImplementedError, AttributeError, ImportError) as error:
        raise UserError(
            f"generator.scheduler_arguments: {kind.__name__} cannot be made with {given}"
            f" ({reason(error)}); change one of them"
        ) from error
    if not _same_noise(made, scheduler):
        raise UserError(
            f"generator.scheduler_arguments: with {given} the noise is not what the checkpoint was"
            " trained on; leave out what says how noise grows (beta_..., trained_betas,"
            " rescale_betas_zero_snr)"
        )
    return made


def _same_noise(one: Any, other: Any) -> bool:
    a, b = (getattr(scheduler, "alphas_cumprod", None) for scheduler in (one, other))
    if a is None or b is None:
        return True
    return a.shape == b.shape and bool(((a - b).abs() < 1e-6).all())
