"""Lengths of a learning-rate schedule: shares of a run in epochs, and lengths no run can have."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from discl.core.errors import UserError
from discl.core.hashing import rounded

# the settings that a schedule reads, beside those that all read; they are in a run's identity even
# at their defaults: runs of 0.1 with these schedules had other values, and no setting for them
READ_BY: dict[str, tuple[str, ...]] = {
    "step": ("decay_every", "decay_rate"),
    "multistep": ("milestones", "decay_rate"),
    "poly": ("poly_power",),
}


def in_epochs(length: float, epochs: int) -> float:
    """A length in epochs: an int counts them, a float is a share of the run's `epochs`."""
    return rounded(length * epochs) if isinstance(length, float) else float(length)


def check_milestones(milestones: Sequence[float], epochs: int) -> None:
    """Raises UserError unless milestones ascend within a run of `epochs`."""
    at = [in_epochs(milestone, epochs) for milestone in milestones]
    if not at:
        raise UserError(
            'train.milestones = []: train.schedule = "multistep" lowers the rate at milestones;'
            ' name one, or set train.schedule = "constant"'
        )
    if at[0] <= 0 or at[-1] >= epochs:
        raise UserError(
            f"train.milestones = {list(milestones)}: outside the run, which has {epochs} epochs;"
            " with a point a milestone is a share of the run, between 0.0 and 1.0, and without one"
            f" a number of epochs, 1 to {epochs - 1}"
        )
    if any(earlier >= later for earlier, later in pairwise(at)):
        raise UserError(
            f"train.milestones = {list(milestones)} are {at} epochs, which do not ascend; name them"
            " in order, each once"
        )


def check_decay_every(length: float, epochs: int) -> None:
    """Raises UserError unless the rate is lowered within a run of `epochs`."""
    if not 0 < in_epochs(length, epochs) < epochs:
        raise UserError(
            f"train.decay_every = {length}: outside the run, which has {epochs} epochs; with a"
            " point it is a share of the run, between 0.0 and 1.0, and without one a number of"
            f" epochs, 1 to {epochs - 1}"
        )


def check_warmup(setting: str, warmup: int, run: int, run_is: str) -> None:
    """Raises UserError where the warm-up is longer than half the run, both in the same unit.

    The learning rate would then rise for longer than it falls. `setting` is the warm-up's name, and
    `run_is` the length of the run in words.
    """
    if 2 * warmup > run:
        raise UserError(
            f"{setting} = {warmup} is longer than half the run ({run_is}); set it to {run // 2} or"
            " fewer, or train for longer"
        )
