"""The tables of a sweep file: how a benchmark is varied."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from discl.config.benchmark import Few, FewOrNone, Positive, Seed
from discl.config.experiment import Experiment
from discl.core.hashing import rounded

# axes that choose an experiment and set nothing -> the option that chooses
CHOICES = {"benchmark": "--benchmark", "strategy": "--strategies", "seed": "--seeds"}
# settings that are tuned as a share of another one, where their dimension is a float
SHARES = {"train.curriculum_epochs": "train.epochs"}
COSTS = {  # objectives beside val metrics
    "cost/denoising_steps": "denoising steps that the images of the run take",
    "cost/images": "images of the bank that the run uses",
}


class _SweepTable(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dimension(_SweepTable):
    """Values that a dotted path may take while it is tuned."""

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: list[Any] = []
    # value of the first trial, where that of the benchmark is a word that stands for a number
    first: Any = None
    only: list[str] = []  # strategies it is tuned for; [] = all, or the one that the path names
    without: list[str] = []  # strategies it is not tuned for

    def applies(self, path: str, strategy: str) -> bool:
        """Whether the dimension of `path` is tuned for a strategy."""
        owner = path.split(".")[1] if path.startswith("strategy.") else strategy
        return (
            owner == strategy
            and strategy not in self.without
            and (not self.only or strategy in self.only)
        )

    def ends(self) -> list[Any]:
        """Lowest and highest value, or all choices: where these load, all values do."""
        if self.type == "categorical":
            return list(self.choices)
        bounds = [float(self.low or 0.0), float(self.high or 0.0)]
        return [int(bound) for bound in bounds] if self.type == "int" else bounds

    def own(self, value: Any) -> Any:
        """The value of the first trial, for a benchmark that has `value`."""
        return value if self.first is None or self.holds(value) else self.first

    def holds(self, value: Any) -> bool:
        """Whether a value is one of the dimension, on its steps."""
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
        """Number of values; infinity where there are no steps."""
        if self.type == "categorical":
            return len(self.choices)
        low, high = self.ends()
        return round((high - low) / self._step) + 1 if self._step else math.inf

    def at(self, index: int) -> Any:
        """The value with this index, where values can be counted."""
        if self.type == "categorical":
            return self.choices[index]
        value = self.ends()[0] + index * self._step
        return rounded(value) if isinstance(value, float) else value  # 0.1 + 3 x 0.2 gives 0.7

    @property
    def _step(self) -> float:
        return int(self.step or 1) if self.type == "int" else self.step or 0.0


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9


class Rung(_SweepTable):
    """A rung of the ladder: the same space at another price.

    The best trials of one rung are the first of the next.
    """

    scale: str | None = None
    set: dict[str, Any] = {}
    trials: Few


class TuneTable(_SweepTable):
    """How the space is searched: one study for each strategy, all with the same budget."""

    trials: Few  # of each strategy
    # val/ metrics, and costs for a Pareto study; [] = what the benchmark chooses epochs by
    objective: list[str] = []
    # replicates of a trial, one run each
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1)
    also: list[str] = []  # further benchmarks a trial is scored on, each with every seed
    sampler: Literal["auto", "gp", "tpe", "random"] = "auto"  # auto: gp up to 60 trials, tpe beyond
    startup: Few = 8  # trials before the sampler learns; the first is the benchmark's own
    round: Few = 4  # trials proposed at a time: as many can run in parallel
    seed: Seed = 0  # of the sampler
    pruner: Literal["wilcoxon", "none"] = "wilcoxon"  # over replicates
    # one-sided; below it a trial is given up: twice worse is 0.25, three times 0.125
    p: Annotated[float, Field(gt=0, lt=1)] = 0.3
    prune_after: Annotated[int, Field(ge=2, le=100_000)] = 2  # replicates every trial gets
    # evaluations on val without progress before an epoch below the median ends a run; 0 = never
    patience: FewOrNone = 0
    keep: Few = 3  # trials of a rung that open the next one
    ladder: list[Rung] = []  # [] = one rung, as the file stands


class OrderTable(_SweepTable):
    """The order test: every order of the levels, each level equally long."""

    orders: Positive | Literal["all"] = "all"  # how many permutations
    seed: Seed = 0  # draws them where they are not all
    metrics: list[str] = []  # read in the end; [] = all, few and ood


class SweepFile(_SweepTable):
    """A sweep of one benchmark, as its file describes it."""

    name: str
    title: str = ""
    benchmark: str
    scale: str = "smoke"
    strategies: list[str] = []  # [] = the benchmark's
    seeds: list[Seed] = []  # [] = the benchmark's
    set: dict[str, Any] = {}  # dotted path -> value, for all points
    grid: dict[str, list[Any]] = {}
    include: list[dict[str, Any]] = []  # points beside the grid
    exclude: list[dict[str, Any]] = []  # points of the grid that are left out
    space: dict[str, Dimension] = {}
    tune: TuneTable | None = None
    order: OrderTable | None = None


class Point(NamedTuple):
    """An experiment and its values on the axes of the grid."""

    at: dict[str, Any]  # axis -> value
    experiment: Experiment
