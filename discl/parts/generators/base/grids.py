"""The grid of a checkpoint's scheduler, told from its folder: no weights are loaded.

Nor are diffusers' pipelines imported, which take as long as torch does.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.parts.generators.base.adapters.scheduler_arguments import with_arguments
from discl.parts.generators.base.checkpoint_size import pixels_of_latent, sample_size
from discl.parts.generators.base.descent import ERRORS, Grid
from discl.parts.generators.base.families import SDXL, USUAL_LATENTS, Family, StableDiffusion
from discl.parts.generators.base.families.named import class_in, family_of
from discl.parts.generators.base.schedulers import check_kind, scheduler_for


def grid_of_folder(
    folder: Path,
    checkpoint: str,
    steps: int,
    scheduler: str = "",
    size: tuple[int, int] | None = None,
    arguments: Mapping[str, Any] | None = None,
) -> Grid:
    """The grid of `steps` places that images of `size` (height, width) go down.

    `checkpoint` is what error messages call the folder, `scheduler` a name ("" = its own), and
    `arguments` replace some of its settings. The size
    matters where flow matching shifts its grid with it; none = the one that the checkpoint was made
    for. A flow's `grid.places` over `num_train_timesteps` are its sigmas: the noise's share of the
    latents, of which the photo's is 1 - sigma. Raises UserError for a checkpoint that is of no
    family, and a scheduler that is refused or has no such grid.
    """
    family = family_of(folder, checkpoint)
    check_kind(folder, scheduler, checkpoint, family.flow_schedulers)
    own = _as_pipelines_take_it(_own(folder, checkpoint), family)
    made = with_arguments(scheduler_for(own, scheduler, checkpoint), arguments or {})
    factor = pixels_of_latent(folder)
    usual = (USUAL_LATENTS * factor, USUAL_LATENTS * factor)
    height, width = size or sample_size(folder) or usual
    side = factor * family.patch
    tokens = (height // side) * (width // side)
    try:
        options = family.grid_options(made.config, steps, tokens)
    except ERRORS as error:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r}: its scheduler_config.json does not say how the"
            f" grid is shifted ({error}); repair it"
        ) from error
    return Grid(made, steps, options)


def _own(folder: Path, checkpoint: str) -> Any:
    import diffusers

    path = folder / "scheduler"
    name = class_in(path, checkpoint)
    made_by: Any = getattr(diffusers, name, None)
    is_scheduler = isinstance(made_by, type) and issubclass(made_by, diffusers.SchedulerMixin)
    if not is_scheduler:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r}: its folder `scheduler` names no scheduler that"
            f" the installed diffusers can make (found: {name}); repair its scheduler_config.json"
        )
    try:
        return made_by.from_pretrained(str(path), local_files_only=True)
    except (*ERRORS, OSError) as error:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r}: its scheduler does not load ({error})"
        ) from error


def _as_pipelines_take_it(own: Any, family: type[Family]) -> Any:
    """diffusers' pipelines of Stable Diffusion bring a setting of old checkpoints up to date."""
    old = getattr(own.config, "steps_offset", 1) != 1
    if old and issubclass(family, StableDiffusion) and not issubclass(family, SDXL):
        own.register_to_config(steps_offset=1)
    return own
