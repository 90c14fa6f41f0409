"""The runs that a sweep file asks for."""

from __future__ import annotations

from discl.config import sweep_expand
from discl.config.experiment import Experiment
from discl.config.sweep import SweepFile
from discl.harness.sweep.order_test.runs import order_points


def experiments(sweep: SweepFile) -> list[Experiment]:
    """The runs of a sweep; of one that tunes, those of each strategy as the benchmark has it."""
    if sweep.tune:
        at = [
            {"strategy": strategy, "seed": seed}
            for seed in sweep.tune.seeds
            for strategy in sweep_expand.strategies(sweep)
        ]
        points = list(sweep_expand.points(sweep, at))
    elif sweep.order:
        points = order_points(sweep)
    else:
        points = sweep_expand.expand(sweep)
    return [point.experiment for point in points]


def most_runs(sweep: SweepFile) -> int:
    """How many runs tuning makes at most; 0 where nothing is tuned."""
    if not sweep.tune:
        return 0
    trials = sum(
        sweep_expand.budget(rung, strategy)
        for rung in sweep_expand.rungs(sweep)
        for strategy in sweep_expand.strategies(sweep)
    )
    return trials * len(sweep.tune.seeds) * (1 + len(sweep.tune.also))
