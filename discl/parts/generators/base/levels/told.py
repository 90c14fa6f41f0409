"""Where the levels of a checkpoint begin, told from its configuration files: no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from discl.core.levels import LevelGrid
from discl.parts.generators.base.checkpoint_size import sample_size
from discl.parts.generators.base.descent import is_flow
from discl.parts.generators.base.grids import grid_of_folder
from discl.parts.generators.base.levels.configs import config_folder
from discl.parts.generators.base.levels.signal import SignalCounting
from discl.parts.generators.base.levels.starts import starts


@dataclass(frozen=True)
class LevelSettings:
    """What the noise of a generator's levels depends on, beside its steps."""

    checkpoint: str  # a folder, `pkg://...`, or a Hub id
    scheduler: str  # "" = the checkpoint's own
    noise_at_0: bool  # level 0 begins from noise alone
    size: tuple[int, int] | None  # (height, width) of images; None = the checkpoint's own
    scheduler_arguments: Mapping[str, Any] = field(default_factory=dict)  # its other settings


def level_grid(settings: LevelSettings, steps: int) -> LevelGrid:
    """The places of a grid of `steps`.

    Raises UserError where the checkpoint's configuration is not here, or its scheduler is refused
    or has no such grid.
    """
    with config_folder(settings.checkpoint) as folder:
        size = settings.size or sample_size(folder)
        grid = grid_of_folder(
            folder,
            settings.checkpoint,
            steps,
            settings.scheduler,
            size,
            settings.scheduler_arguments,
        )
    shifted = grid.scheduler.config.get("use_dynamic_shifting")
    return LevelGrid(
        grid.name,
        starts(grid),
        is_flow(grid.scheduler),
        size if shifted else None,
        settings.noise_at_0,
    )


def signal_counting(settings: LevelSettings, steps: int) -> SignalCounting:
    """Levels by surviving signal, on a grid of `steps`; raises as `level_grid`."""
    grid = level_grid(settings, steps)
    return SignalCounting(
        tuple(start.signal for start in grid.starts),
        grid.scheduler,
        lambda other: signal_counting(settings, other),
    )
