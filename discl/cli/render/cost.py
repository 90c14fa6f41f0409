"""The cost of runs on the terminal, before they are made."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from discl.core.text import echo

if TYPE_CHECKING:
    from discl.harness.sweep.cost import CostEstimate


def print_work(cost: CostEstimate, times: float = 1.0, models_note: str = "") -> None:
    """Models, images and optimiser steps to be made; `times` as many steps as were counted."""
    if cost.fold_models:
        echo(
            f"  models to train    {cost.fold_models:>12,}   they find the hard photos{models_note}"
        )
    if cost.starts:
        echo(
            f"  starts to train    {cost.starts:>12,}   one a seed, shared by its strategies"
            " (train.start)"
        )
    if cost.hard is None:
        echo(
            f"  images to make     {'unknown':>12}   which photos are hard is known once the"
            " out-of-fold models are trained"
        )
    else:
        echo(
            f"  images to make     {cost.images:>12,}   {cost.denoising_steps:,} denoising steps,"
            f" about {cost.bytes / 1e6:.1f} MB"
        )
    steps = round(cost.optimiser_steps * times)
    images = round(cost.trained_images * times)
    echo(f"  optimiser steps    {steps:>12,}   {images:,} images trained on")


def print_time(amount: float, unit: str, digits: int, source: str) -> None:
    """How long it takes here, or that this is not known: `amount` is nan."""
    if math.isnan(amount):
        echo(f"  time here          {'unknown':>12}   a sample of the work takes too long here")
    else:
        echo(f"  time here          {amount:>12,.{digits}f}   {unit}, {source}")
