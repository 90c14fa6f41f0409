"""A run to be made, and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from discl.config.experiment import Experiment
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.harness.run.store import Failure

BUSY_PAUSE_SECONDS = 2.0  # between two checks of a run that another process makes
Stop = Callable[[Sequence[EpochReport]], bool]


@dataclass(frozen=True)
class PlannedRun:
    """A run to be made."""

    experiment: Experiment
    group: str = ""  # what it belongs to, for trackers
    label: str = ""  # what a person sees; "" = the experiment's name
    stop: Stop | None = None
    tag: Any = None  # means something to the agenda alone
    trial: int | None = None  # of the study `group`, for trackers

    @property
    def name(self) -> str:
        return self.label or self.experiment.name


@dataclass(frozen=True)
class Outcome:
    """A result, or a failure, or neither: then another process is at the run."""

    result: Result | None = None
    failure: Failure | None = None
    # cost/...: of the run's images, whether they were made for it or not
    costs: dict[str, float] = field(default_factory=dict)
    # (epoch, the metric that epochs are chosen by) at each evaluation on val
    curve: tuple[tuple[int, float], ...] = ()
    seconds: float = 0.0
