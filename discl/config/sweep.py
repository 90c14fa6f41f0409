"""The tables of a sweep file: how a benchmark is varied."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from discl.config.benchmark import NotNegative, Positive
from discl.config.experiment import Experiment
from discl.core.hashing import rounded

CHOICES = {
    "benchmark": "--benchmark",
    "strategy": "--strategies",
    "seed": "--seeds",
}  # axes that choose an experiment and set nothing


SHARES = {
    "train.curriculum_epochs": "train.epochs"
}  # settings that are tuned as a share of another one, where they are a float


COSTS = {
    "cost/denoising_steps": "what the images of the run take to make",
    "cost/images": "how many images of the bank the run asks for",
}


class _SweepTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dimension(_SweepTable):
    """Values a dotted path may take while it is tuned."""

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: list[Any] = []
    # of the first trial, where the benchmark's own value is a word that stands for a number
    first: Any = None
    only: list[str] = []  # strategies it is tuned for; [] = all, or the one that the path names
    without: list[str] = []  # strategies it is not tuned for

    def applies(self, path: str, strategy: str) -> bool:
        owner = path.split(".")[1] if path.startswith("strategy.") else strategy
        return (
            owner == strategy
            and strategy not in self.without
            and (not self.only or strategy in self.only)
        )

    def ends(self) -> list[Any]:
        """Values that stand for all: where these load, the others do."""
        if self.type == "categorical":
            return list(self.choices)
        low, high = float(self.low or 0.0), float(self.high or 0.0)
        return [int(low), int(high)] if self.type == "int" else [low, high]

    def own(self, value: Any) -> Any:
        """What the first trial has, for a benchmark that has `value`."""
        return value if self.first is None or self.holds(value) else self.first

    def holds(self, value: Any) -> bool:
        """Whether a value lies in it, on its steps."""
        if self.type == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(
            value, int if self.type == "int" else int | float
        ):
            return False
        low, high = self.ends()
        return bool(low <= value <= high) and (not self.step or _whole((value - low) / self.step))

    @property
    def count(self) -> float:
        """How many values it has; infinity, where it is not made of steps."""
        if self.type == "categorical":
            return len(self.choices)
        low, high = self.ends()
        return round((high - low) / self._apart) + 1 if self._apart else math.inf

    def at(self, place: int) -> Any:
        """One of its values, where they can be counted."""
        if self.type == "categorical":
            return self.choices[place]
        value = self.ends()[0] + place * self._apart
        return rounded(value) if isinstance(value, float) else value  # 0.1 + 3 x 0.2 is to be 0.7

    @property
    def _apart(self) -> float:
        return int(self.step or 1) if self.type == "int" else self.step or 0.0


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9


class Rung(_SweepTable):
    """A step of the ladder: the same space at another price.

    The best of one rung are the first trials of the next.
    """

    scale: str | None = None
    set: dict[str, Any] = {}
    trials: Positive


class TuneTable(_SweepTable):
    """How the space is searched: one study for each strategy, all with the same budget."""

    trials: Positive  # of each strategy
    objective: list[
        str
    ] = []  # val/ metrics, and costs for a Pareto study; [] = what the benchmark chooses epochs by
    seeds: list[NotNegative] = Field(
        default=[0, 1, 2], min_length=1
    )  # replicates of a trial, one run each
    also: list[str] = []  # further benchmarks a trial is judged on, each with every seed
    sampler: Literal["auto", "gp", "tpe", "random"] = "auto"  # auto: gp up to 60 trials, tpe beyond
    startup: Positive = (
        8  # trials before the sampler learns; the first is the benchmark's own setting
    )
    round: Positive = (
        4  # trials proposed at a time: as many can run side by side, whoever runs them
    )
    seed: NotNegative = 0  # of the sampler
    pruner: Literal["wilcoxon", "none"] = "wilcoxon"  # over replicates
    p: Annotated[float, Field(gt=0, lt=1)] = (
        0.3  # one-sided, below it a trial is given up; twice worse is 0.25, three times 0.125
    )
    prune_after: Annotated[int, Field(ge=2)] = 2  # replicates every trial gets
    patience: Annotated[int, Field(ge=0)] = (
        0  # looks at val without progress before an epoch below the median ends a run; 0 = never
    )
    keep: Positive = 3  # trials of a rung that open the next one
    ladder: list[Rung] = []  # [] = one rung, as the file stands


class OrderTable(_SweepTable):
    """The order test: every order of the levels, each level equally long."""

    orders: Positive | Literal["all"] = "all"  # how many permutations
    seed: NotNegative = 0  # draws them where they are not all
    metrics: list[str] = []  # read in the end; [] = all, few and ood of the home test split


class SweepFile(_SweepTable):
    """A sweep as its file says it, for one benchmark."""

    name: str
    title: str = ""
    benchmark: str
    scale: str = "smoke"
    strategies: list[str] = []  # [] = the benchmark's
    seeds: list[NotNegative] = []  # [] = the benchmark's
    set: dict[str, Any] = {}  # dotted path -> value, for all points
    grid: dict[str, list[Any]] = {}
    include: list[dict[str, Any]] = []  # points beside the grid
    exclude: list[dict[str, Any]] = []  # points of the grid that are left out
    space: dict[str, Dimension] = {}
    tune: TuneTable | None = None
    order: OrderTable | None = None


class Point(NamedTuple):
    """An experiment and where it stands in its grid."""

    at: dict[str, Any]  # axis -> value
    experiment: Experiment
