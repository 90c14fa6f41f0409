"""What `discl bench` says before its first run and after its last one."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from discl.core.text import counted, echo, typed

if TYPE_CHECKING:
    from discl.config.benchmark import Benchmark
    from discl.config.experiment import Experiment
    from discl.core.result import Result
    from discl.harness.run.assembly import Bench
    from discl.harness.run.store import Store
    from discl.harness.run.trackers import CompositeTracker
    from discl.harness.sweep.cost import CostEstimate


def tell_device(spec: Benchmark, *, trains: bool = True) -> None:
    """On standard error: the device that works, and what it computes in; see `device_lines`."""
    from discl.harness.doctor.device import device_lines

    for line in device_lines(spec, trains=trains):
        echo(line, err=True)


def tell_beginning(
    spec: Benchmark, cost: CostEstimate | None, runs: int, seconds: float = math.nan
) -> None:
    """On standard error: the device that works, and what it is to do in about so many seconds."""
    tell_device(spec)
    if cost:
        echo(f"to do: {_work(cost, runs)}{_time(seconds, cost)}", err=True)


class Opening:
    """Called before the first of the runs that are to be made, once nothing is left to refuse.

    It says what makes them and what they take, and expects it.

    The time is said where the paces of this machine are known: nothing is timed for it.
    """

    def __init__(self, store: Store, tracker: CompositeTracker) -> None:
        self.store = store
        self.tracker = tracker
        self.minutes = math.nan  # that are expected, by what was timed before
        self.began = 0.0

    def tell_if_misjudged(self) -> None:
        """A line where the runs, now made, took much more or less time than was expected."""
        from discl.harness.sweep.cost import misjudged

        if told := misjudged(self.minutes, (time.monotonic() - self.began) / 60):
            echo(told)

    def __call__(self, bench: Bench, todo: Sequence[Experiment]) -> None:
        from discl.core.progress import DENOISING, TRAINING, work
        from discl.harness.sweep.cost import estimate_cost

        self.began = time.monotonic()
        cost = estimate_cost(todo, self.store, self.tracker.progress, seconds=0)
        self.minutes = cost.minutes
        denoising_s, training_s = _paces(bench, cost)
        work().expect(DENOISING, cost.denoising_steps, denoising_s)
        work().expect(TRAINING, cost.optimiser_steps, training_s)
        spec = bench.spec
        self.tracker.expect(f"{spec.name}, {spec.scale}", len(todo))
        seconds = sum(
            units * pace
            for units, pace in (
                (cost.denoising_steps, denoising_s),
                (cost.optimiser_steps, training_s),
            )
            if units
        )
        tell_beginning(spec, cost, len(todo), seconds)


def _paces(bench: Bench, cost: CostEstimate) -> tuple[float, float]:
    """Seconds of a denoising step of an image, and of a training step; nan = not known yet."""
    from discl.harness.sweep.paces import Patience
    from discl.harness.sweep.throughput import (
        seconds_per_denoising_step,
        seconds_per_run,
        training_speed,
    )

    none = Patience(0.0)  # only what was measured before
    denoising_s = math.nan
    if cost.denoising_steps:
        denoising_s = seconds_per_denoising_step(bench, patience=none)
    steps = bench.spec.train.epochs * (bench.epoch_images // bench.spec.train.batch)
    speed = training_speed(bench, patience=none)
    return denoising_s, seconds_per_run(bench, speed) / steps if steps else math.nan


def _work(cost: CostEstimate, runs: int) -> str:
    parts = [counted(runs, "run")]
    if cost.fold_models:
        parts.append(f"{counted(cost.fold_models, 'model')} that find the hard photos")
    parts.append(f"{counted(cost.optimiser_steps, 'step')} to train")
    if cost.hard is None:
        parts.append("images of the photos that turn out to be hard")
    elif cost.images:
        steps = counted(cost.denoising_steps, "denoising step")
        parts.append(f"{counted(cost.images, 'image')} to make ({steps})")
    return ", ".join(parts)


def _time(seconds: float, cost: CostEstimate) -> str:
    """ "" where it is not known."""
    if math.isnan(seconds) or cost.hard is None:
        return ""
    return f"; about {seconds / 60:.1f} minutes here"


def tell_end(
    spec: Benchmark, results: Sequence[Result], fresh_images: int, selection: dict[str, Any]
) -> None:
    """Where the runs and the images lie, how many images were there before, and what to do next."""
    from discl.cli.render.tables import tell
    from discl.files.disk import home

    used = int(max((result.cost.get("images", 0.0) for result in results), default=0))
    banks = sorted({str(bank) for result in results if (bank := result.comparability["bank"])})
    echo(f"runs: {home() / 'runs'}")
    if banks:
        reused = max(0, used - fresh_images)
        folders = ", ".join(str(home() / "banks" / bank) for bank in banks)
        tell(f"images: {folders} ({used:,}, of which {reused:,} were there)")
    words = [spec.name]
    for key in ("scale", "strategies", "seeds"):
        if selection[key] and (key, selection[key]) != ("scale", "smoke"):
            words += [f"--{key}", selection[key]]
    words += [word for setting in selection["settings"] for word in ("--set", setting)]
    first = "" if find_spec("altair") else "pip install 'discl[report]', then "
    echo(f"next: {first}{typed('discl', 'report', *words)}")
