"""The cost of runs on the terminal, before they are made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from discl.cli.render.tables import tell_figure

if TYPE_CHECKING:
    from discl.harness.sweep.cost import CostEstimate


def print_work(cost: CostEstimate, times: float = 1.0, models_note: str = "") -> None:
    """Models, images and optimiser steps to be made; `times` as many steps as were counted."""
    if cost.fold_models:
        tell_figure(
            "models to train", f"{cost.fold_models:,}", f"they find the hard photos{models_note}"
        )
    if cost.starts:
        tell_figure(
            "starts to train",
            f"{cost.starts:,}",
            "one a seed, shared by its strategies (train.start)",
        )
    if cost.hard is None:
        tell_figure(
            "images to make",
            "unknown",
            "which photos are hard is known once the out-of-fold models are trained",
        )
    else:
        tell_figure(
            "images to make",
            f"{cost.images:,}",
            f"{cost.denoising_steps:,} denoising steps, about {cost.bytes / 1e6:.1f} MB",
        )
    steps = round(cost.optimiser_steps * times)
    images = round(cost.trained_images * times)
    tell_figure("optimiser steps", f"{steps:,}", f"{images:,} images trained on")


def print_time(amount: float, unit: str, digits: int, source: str) -> None:
    """How long it takes here, or that this is not known: `amount` is nan."""
    if math.isnan(amount):
        tell_figure("time here", "unknown", "a sample of the work takes too long here")
    else:
        tell_figure("time here", f"{amount:,.{digits}f}", f"{unit}, {source}")
