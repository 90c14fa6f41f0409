"""Checkpoints of a run, and the best epoch so far, which is part of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.core.interfaces import EpochReport, Floats

if TYPE_CHECKING:
    from torch import Tensor

OVERHEAD = 20  # a checkpoint is written at most after this many times the seconds the last one took


@dataclass
class BestEpoch:
    """The epoch with the best value of `metric` on val so far, and its weights."""

    metric: str
    lower_is_better: bool = False
    epoch: int = -1
    value: float | None = None
    weights: dict[str, Tensor] = field(default_factory=dict)
    # [n, c] by these weights; None = to be computed again, as after a stop
    val_logits: Floats | None = field(default=None, compare=False)

    def consider(
        self,
        report: EpochReport,
        weights: Mapping[str, Tensor],
        val_logits: Floats | None = None,
    ) -> None:
        """Take this epoch and its weights (tensors [...] by name) where it is better.

        `val_logits` are those of val [n, c], where they are known. Of equals the earlier one stays.

        Raises UserError where the metric is not among those that were measured.
        """
        if not report.values:
            return
        if self.metric not in report.values:
            raise UserError(
                f"select.metric = {self.metric!r} is not measured; choose one of"
                f" {', '.join(sorted(report.values))}"
            )
        value = report.values[self.metric]
        if self.value is None or (
            value < self.value if self.lower_is_better else value > self.value
        ):
            self.epoch = report.epoch
            self.value = value
            self.weights = {key: tensor.detach().clone() for key, tensor in weights.items()}
            self.val_logits = val_logits

    def state(self) -> dict[str, Any]:
        """For a checkpoint; the value is None before the first epoch."""
        return {"epoch": self.epoch, "value": self.value, "weights": self.weights}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        if state["weights"]:
            self.epoch = state["epoch"]
            self.value = state["value"]
            self.weights = state["weights"]


class Checkpointer:
    """Writes a checkpoint every so many seconds, and reads the last one."""

    def __init__(self, folder: Path, every_s: float, best: BestEpoch, started: float) -> None:
        """`started`: when this attempt began, by the monotonic clock."""
        self.folder = folder
        self.every_s = every_s
        self.best = best
        self.number = 0  # of the last checkpoint
        self.started = started
        self.earlier_s = 0.0  # seconds that earlier attempts spent on the run
        self.written = time.monotonic()
        self.writing_s = 0.0  # seconds the last checkpoint took

    @property
    def spent_s(self) -> float:
        """Seconds spent on the run until now, by all attempts."""
        return self.earlier_s + time.monotonic() - self.started

    def on_step(self, training_state: Callable[[], dict[str, Any]]) -> None:
        """Write a checkpoint if one is due; called after every training step."""
        # a large network takes seconds to write: never more than a twentieth of the time goes
        # into that
        interval = self.every_s and max(self.every_s, OVERHEAD * self.writing_s)
        began = time.monotonic()
        if began - self.written < interval:
            return
        from discl.engine.training.state import flatten
        from discl.files import checkpoints

        state = {
            "number": self.number + 1,
            "seconds": self.spent_s,
            "choice": self.best.state(),
            "training": training_state(),
        }
        checkpoints.save(self.folder, self.number + 1, *flatten(state))
        self.number += 1
        self.written = time.monotonic()
        self.writing_s = self.written - began

    def last(self) -> dict[str, Any] | None:
        """State of the last checkpoint; None where there is none that can be read."""
        from discl.engine.training.state import unflatten
        from discl.files import checkpoints

        newest = checkpoints.newest(self.folder)
        return unflatten(*newest) if newest else None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `last` returned."""
        self.earlier_s = state["seconds"]
        self.number = state["number"]
        self.best.restore(state["choice"])

    def clear(self) -> None:
        """Remove the checkpoints, once the run is complete."""
        from discl.files import checkpoints

        checkpoints.clear(self.folder)
