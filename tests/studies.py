"""Studies of made-up runs in a database of their own."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Iterator

from optuna.storages import RDBStorage

from discl.config import sweep_load
from discl.config.sweep import Dimension, SweepFile, TuneTable
from discl.core.result import Result
from discl.harness.run.store import Failure
from discl.harness.sweep.planned_run import Outcome, PlannedRun
from discl.harness.tuning.storage.database import close_storage, open_storage
from discl.harness.tuning.tuner import Tuner

STATIC = "tune_static/cifar10_lt/smoke/static"
REAL = "tune_static/cifar10_lt/smoke/real_rebalanced"
Measured = Callable[[PlannedRun], dict[str, float]]


SPACE = {
    "train.lr": Dimension(type="float", low=1e-4, high=1.0, log=True),
    "train.curriculum_epochs": Dimension(type="int", low=5, high=18, without=["real_rebalanced"]),
    "strategy.static.start": Dimension(type="categorical", choices=[0, 30, 50]),
}


def sweep_file(trials: int, **tune: object) -> SweepFile:
    found = sweep_load.load("tune_static")
    said = {"trials": trials, "seeds": [0, 1, 2, 3, 4], "prune_after": 4, **tune}
    return found.model_copy(
        update={
            "strategies": ["static", "real_rebalanced"],
            "space": SPACE,
            "tune": TuneTable(**said),
        }
    )


def measured(job: PlannedRun) -> dict[str, float]:
    """The nearer to lr = 0.004 the better; seeds differ by a point; a generated image costs."""
    spec, seed = job.experiment.benchmark, job.experiment.seed
    off = abs(math.log10(spec.train.lr / 0.004))
    value = (
        (0.42 if job.experiment.strategy == "static" else 0.36)
        - 0.08 * off
        + 0.01 * math.sin(3 * seed)
    )
    return {"val/macro_acc": value, "cost/images": 100.0 * spec.train.curriculum_epochs}


def outcome_of(job: PlannedRun, measured: Measured) -> Outcome:
    experiment, metrics = job.experiment, measured(job)
    costs = {key: metrics.pop(key) for key in list(metrics) if key.startswith("cost/")}
    plain: dict[str, object] = {
        "attempt": 1,
        "class_recalls": [],
        "classes": [],
        "counts": [],
        "chosen_epoch": 0,
        "seen": {},
        "cost": {},
        "last": {"epoch": 0},
    }
    made = Result(
        id=experiment.id(),
        name=experiment.name,
        benchmark=experiment.benchmark.name,
        scale=experiment.benchmark.scale,
        strategy=experiment.strategy,
        seed=experiment.seed,
        identity={},
        comparability={},
        metrics=metrics,
        provenance={},
        **plain,  # type: ignore[arg-type]
    )
    return Outcome(made, costs=costs, curve=((0, metrics["val/macro_acc"]),), seconds=36.0)


@contextlib.contextmanager
def opened(url: str) -> Iterator[RDBStorage]:
    storage = open_storage(url)
    try:
        yield storage
    finally:
        close_storage(storage)


def tune(
    found: SweepFile,
    url: str,
    measure: Measured = measured,
    fails: str = "",
    runs: int = sys.maxsize,
) -> None:
    """Work a tuning sweep off, or so many runs of it; a trial whose label begins with `fails`
    breaks.
    """
    with opened(url) as storage, Tuner(found, storage) as tuning:
        for _ in range(runs):
            job = tuning.next()
            if job is None:
                break
            assert isinstance(job, PlannedRun)
            broken = bool(fails) and job.name.startswith(fails)
            failure = Failure("error", "out of memory at [step 3]") if broken else None
            tuning.take(job, Outcome(failure=failure) if failure else outcome_of(job, measure))
