"""Which of diffusers' schedulers make images, and what each needs for it.

Nothing heavy is imported before a scheduler is made.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from discl.core.errors import UserError, shown, unknown
from discl.core.plain_files import parsed_json, plain_text

if TYPE_CHECKING:
    from torch import Tensor


class Need(NamedTuple):
    """A setting that a scheduler always gets, and why."""

    settings: Mapping[str, Any]
    reason: str


# accepted by name where noise is no flow; what each needs beside the checkpoint's settings
SCHEDULERS: dict[str, Need | None] = {
    "DDIMScheduler": None,
    "DDPMScheduler": None,
    "DEISMultistepScheduler": None,
    "DPMSolverMultistepScheduler": None,
    "DPMSolverSinglestepScheduler": None,
    "EulerAncestralDiscreteScheduler": None,
    "EulerDiscreteScheduler": None,
    "HeunDiscreteScheduler": None,
    "LCMScheduler": None,
    "LMSDiscreteScheduler": None,
    "PNDMScheduler": Need(
        {"skip_prk_steps": True},
        "its Runge-Kutta warm-up asks between the places of the grid and at its top only; the"
        " linear multistep that Stable Diffusion uses can begin anywhere",
    ),
    "TCDScheduler": None,
    "UniPCMultistepScheduler": None,
}

# accepted by name with families of flow matching
FLOW_SCHEDULERS = ("FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler")

_BETWEEN = "asks the denoiser between the places of the grid, so its levels cannot share them"
_NO_START = "adds no noise to a photo, so no level above 0 could begin"
_REVERSED = "goes from photo to noise"
_SIGMAS = "counts noise by its own measure, not by the timesteps Stable Diffusion is trained on"

# refused by name, each with its reason
REFUSED: dict[str, str] = {
    "CosineDPMSolverMultistepScheduler": _SIGMAS,
    "DDIMInverseScheduler": _REVERSED,
    "DPMSolverMultistepInverseScheduler": _REVERSED,
    "DPMSolverSDEScheduler": (
        "draws noise of its own, so a request would get another image each time"
    ),
    "EDMDPMSolverMultistepScheduler": _SIGMAS,
    "EDMEulerScheduler": _SIGMAS,
    "FlowMatchLCMScheduler": ("draws noise at each step that diffusers' pipelines leave to chance"),
    "IPNDMScheduler": _NO_START,
    "KDPM2AncestralDiscreteScheduler": _BETWEEN,
    "KDPM2DiscreteScheduler": _BETWEEN,
    "RePaintScheduler": _NO_START,
}
# of a checkpoint's own schedulers these are refused too; the others are judged by a rehearsal
_NEVER = ("DPMSolverSDEScheduler",)

# clipped by their own default, where a checkpoint's settings do not mention it
CLIPPING = ("DDIMScheduler", "DDPMScheduler")
_CLIPS = ("clip_sample", "thresholding")
# raised where a scheduler's images changed, for the ids of banks made with it
_REVISIONS = {"LMSDiscreteScheduler": 2, "PNDMScheduler": 2}
_CLIPPING_REVISION = 2

_MOST_TIMESTEPS = 100_000  # that a checkpoint was trained on; mostly 1000
_NOISE_TOLERANCE = 0.001  # of the power of signal at any timestep
_NOISE_SETTINGS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "rescale_betas_zero_snr",
)


def check_name(name: str) -> None:
    """Raises UserError for a scheduler that is not accepted ("" = the checkpoint's own, which is).

    The sentence gives the reason, or the nearest name.
    """
    if name in REFUSED:
        raise UserError(
            f"generator.scheduler = {name!r}: it {REFUSED[name]}; take another, e.g."
            " 'EulerDiscreteScheduler'"
        )
    if name and name not in (*SCHEDULERS, *FLOW_SCHEDULERS):
        raise unknown("generator.scheduler", name, (*SCHEDULERS, *FLOW_SCHEDULERS))


def check_kind(folder: Path, chosen: str, checkpoint: str, accepted: tuple[str, ...]) -> None:
    """Raises UserError where a checkpoint's scheduler, or the `chosen` one, is of another kind.

    And where its table of noise would not fit into memory, as diffusers makes it without a look.
    `accepted` are those of flow matching that its family works with; () = the family is no flow.
    """
    settings = _own_settings(folder)
    count = settings.get("num_train_timesteps")
    if isinstance(count, int | float) and not count <= _MOST_TIMESTEPS:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r}: its scheduler_config.json has"
            f" num_train_timesteps = {shown(count)}, and at most {_MOST_TIMESTEPS} are worked with;"
            " repair it"
        )
    own = str(settings.get("_class_name", ""))
    name = chosen or own
    if not name or name in accepted or not (accepted or name.startswith("FlowM")):
        return
    subject = (
        f"generator.scheduler = {chosen!r}: it"
        if chosen
        else f"generator.checkpoint = {checkpoint!r}: its {own}"
    )
    if not accepted:
        raise UserError(
            f"{subject} is for flow models, and this denoiser is trained on another path from photo"
            " to noise; set generator.scheduler to another, e.g. 'EulerDiscreteScheduler'"
        )
    why = REFUSED.get(name, "is not for flow models, of which this is one")
    if name in FLOW_SCHEDULERS:
        why = "makes its grid by itself, and this family hands it one"
    raise UserError(
        f"{subject} {why}; set generator.scheduler = {' or '.join(map(repr, accepted))}"
    )


def revision(folder: Path, chosen: str) -> int:
    """How often images by the scheduler of a checkpoint's folder have changed, counted from 1.

    `chosen` replaces the checkpoint's own, where it is not "".
    """
    own = _own_settings(folder)
    name = chosen or str(own.get("_class_name"))
    if chosen in CLIPPING and "clip_sample" not in own:
        return _CLIPPING_REVISION
    return _REVISIONS.get(name, 1)


def _own_settings(folder: Path) -> dict[str, Any]:
    path = folder / "scheduler" / "scheduler_config.json"
    try:
        settings = parsed_json(plain_text(path))
    except (OSError, ValueError):  # said in a sentence where the checkpoint is loaded
        return {}
    return settings if isinstance(settings, dict) else {}


def scheduler_for(own: Any, chosen: str, checkpoint: str) -> Any:
    """A checkpoint's `own` scheduler, or the `chosen` one with its settings.

    What a checkpoint does not say about clipping is not taken from the default of another class:
    latents of Stable Diffusion go beyond -1 .. 1. Raises UserError for a scheduler that is refused,
    cannot be made, or counts another noise than the checkpoint was trained on.
    """
    import diffusers

    name = chosen or type(own).__name__
    need = SCHEDULERS.get(name)
    if not chosen and name in _NEVER:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r}: its {name} {REFUSED[name]}; set"
            " generator.scheduler, e.g. to 'EulerAncestralDiscreteScheduler'"
        )
    if not chosen and need is None:
        return own
    made_by = getattr(diffusers, chosen) if chosen else type(own)
    accepted = inspect.signature(made_by.__init__).parameters
    settings = dict(need.settings) if need else {}
    if chosen:
        settings |= {key: False for key in _CLIPS if key in accepted and not _states(own, key)}
    made = made_by.from_config(own.config, **settings)
    _check_noise(made, own, accepted)
    return made


def _states(own: Any, key: str) -> bool:
    """Whether a checkpoint's scheduler was written with a setting, not left at a default."""
    return key in own.config and key not in own.config.get("_use_default_values", ())


def _check_noise(made: Any, own: Any, accepted: Mapping[str, Any]) -> None:
    kept, wanted = (_signal_power(scheduler) for scheduler in (made, own))
    if kept is None or wanted is None:
        return
    apart = float((kept - wanted).abs().max()) if kept.shape == wanted.shape else 1.0
    if apart > _NOISE_TOLERANCE:
        lacking = [key for key in _NOISE_SETTINGS if own.config.get(key) and key not in accepted]
        why = f"it has no setting {' and '.join(lacking)}" if lacking else "it reads them otherwise"
        raise UserError(
            f"generator.scheduler = {type(made).__name__!r}: its noise is not what the checkpoint"
            f" was trained on ({why}, so the signal's power is off by up to {apart:.1%}); take"
            f" the checkpoint's own, or 'DDIMScheduler'"
        )


def _signal_power(scheduler: Any) -> Tensor | None:
    """[timesteps]; None where it counts noise otherwise."""
    return getattr(scheduler, "alphas_cumprod", None)
