"""What a sweep costs beside the training in it, and how many epochs sampler and pruner save.

    python benchmarks/perf/sweep.py overhead   # a cell in a persistent worker, and in a process
    python benchmarks/perf/sweep.py growth     # 10,000 cells priced; 500 finished ones launched
    python benchmarks/perf/sweep.py record     # every point of sweeps/recorded.toml: an hour
    python benchmarks/perf/sweep.py search     # replays searches on what was recorded

Results go to benchmarks/perf/sweep.json; what was recorded is benchmarks/perf/sweep_recorded.json.
"""

from __future__ import annotations

import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from _report import report

from discl.config import sweep_load
from discl.config.sweep import Dimension, SweepFile, TuneTable
from discl.config.sweep_expand import expand
from discl.core.hashing import canonical_json
from discl.harness.run.store import Store
from discl.harness.sweep.planned_run import Outcome, PlannedRun
from discl.harness.sweep.run_list import RunList
from discl.harness.sweep.scheduler import launch
from discl.harness.tuning.proposals import (
    FinishedTrial,
    SamplerSettings,
    best_of,
    propose,
    round_of,
)
from discl.harness.tuning.pruning import is_clearly_worse
from discl.parts.executors.local import LocalProcesses

HERE = Path(__file__).parent
OUTPUT = Path(__file__).with_suffix(".json")
RECORDED = HERE / "sweep_recorded.json"
OWN = (
    3,
    1,
    1,
    0,
    # the first trial of every study: the benchmark's own setting, as near as the grid has it
)
FROZEN = {"backbone.frozen": True, "trackers": []}


@click.group()
def main() -> None:
    """Measure sweeps."""


def _sweep(folder: str, name: str, text: str) -> SweepFile:
    """A sweep file of our own in `folder`, which becomes the current one."""
    (Path(folder) / "sweeps").mkdir(exist_ok=True)
    (Path(folder) / "sweeps" / f"{name}.toml").write_text(text, "utf-8")
    os.chdir(folder)
    return sweep_load.load(name)


def _text(title: str, grid: Mapping[str, Sequence[Any]], **tables: Any) -> str:
    lines = [
        f'title = "{title}"',
        'benchmark = "cifar10_lt"',
        *(f"{key} = {canonical_json(value)}" for key, value in tables.items()),
    ]
    lines += ["[set]", *(f'"{path}" = {canonical_json(value)}' for path, value in FROZEN.items())]
    lines += ["[grid]", *(f'"{path}" = {canonical_json(values)}' for path, values in grid.items())]
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------- overhead


class _Clock:
    """Seconds from when a job was given out to when its answer was booked."""

    def __init__(self) -> None:
        self.given_at: dict[str, float] = {}
        self.seconds: list[float] = []
        self.in_worker: list[float] = []

    def started(self, job: PlannedRun) -> None:
        self.given_at[job.experiment.id()] = time.perf_counter()

    def ended(self, job: PlannedRun, outcome: Outcome) -> None:
        self.seconds.append(time.perf_counter() - self.given_at[job.experiment.id()])
        self.in_worker.append(outcome.seconds)


@main.command()
@click.option("--cells", default=24, show_default=True)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where bank and features are, or will be.",
)
def overhead(cells: int, home: Path | None) -> None:
    """A cell on frozen features: everything but its epochs, in a worker that stays, and in a
    process of its own.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCL_HOME"] = str((home or Path(folder) / "home").absolute())
        rates = [round(1e-3 + 1e-6 * i, 9) for i in range(cells + 2)]
        swept = _sweep(
            folder,
            "overhead",
            _text("Overhead", {"train.lr": rates}, seeds=[90], strategies=["static"]),
        )
        experiments = [point.experiment for point in expand(swept)]
        store = Store()
        clock = _Clock()
        _forget(store, experiments)
        launch(RunList(experiments, store), LocalProcesses(workers=2, threads=1), [], clock)
        trained = [_epochs_s(store, experiment.id()) for experiment in experiments]
        # the first cell of each worker imports torch and opens the bank
        beside = [
            total - epochs for total, epochs in zip(clock.seconds[2:], trained[2:], strict=True)
        ]
        separate = [_alone(swept, experiment, store) for experiment in experiments[:3]]
        report(
            OUTPUT,
            "overhead",
            {
                "cells": len(beside),
                "epochs_s": round(statistics.median(trained[2:]), 3),
                "beside_epochs_s": round(statistics.median(beside), 3),
                "of_which_handing_over_s": round(
                    statistics.median(np.subtract(clock.seconds[2:], clock.in_worker[2:]).tolist()),
                    3,
                ),
                "in_a_process_of_its_own_s": round(statistics.median(separate), 3),
                "ratio": round(statistics.median(separate) / statistics.median(beside), 1),
            },
        )


def _forget(store: Store, experiments: Sequence[Any]) -> None:
    import shutil

    for experiment in experiments:
        shutil.rmtree(store.root / experiment.id(), ignore_errors=True)


def _epochs_s(store: Store, id: str) -> float:
    record = sorted((store.root / id).glob("[0-9]*/events.jsonl"))[-1]
    rows = [json.loads(line) for line in record.read_text("utf-8").splitlines()]
    return sum(row["seconds"] for row in rows if row["event"] == "epoch")


def _alone(swept: SweepFile, experiment: Any, store: Store) -> float:
    """The same cell by `discl run`, as a loop over processes would make it."""
    _forget(store, [experiment])
    settings = {**swept.set, "train.lr": experiment.benchmark.train.lr}
    command = [
        sys.executable,
        "-m",
        "discl.cli",
        "run",
        swept.benchmark,
        "--strategies",
        experiment.strategy,
        "--seeds",
        str(experiment.seed),
    ]
    command += [
        word
        for path, value in settings.items()
        for word in ("--set", f"{path}={canonical_json(value)}")
    ]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began - _epochs_s(store, experiment.id())


# ---------------------------------------------------------------- growth


@main.command()
def growth() -> None:
    """Whole commands, the start of Python and all: 10,000 cells with --dry-run, and 500 finished
    cells once more.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCL_HOME"] = str(Path(folder) / "home")
        strategies = ["static", "reverse", "random", "real_only", "text_only"]
        seeds = [0, 1]
        rates = [round(1e-4 * (i + 1), 9) for i in range(50)]
        decays = [round(0.01 * (i + 1), 9) for i in range(20)]
        _sweep(
            folder,
            "wide",
            _text(
                "Wide",
                {"train.lr": rates, "train.weight_decay": decays},
                seeds=seeds,
                strategies=strategies,
            ),
        )
        swept = _sweep(
            folder, "done", _text("Done", {"train.lr": rates}, seeds=seeds, strategies=strategies)
        )
        _finished(swept)
        report(
            OUTPUT,
            "growth",
            {
                # measures this machine's pace, and remembers it
                "first_dry_run_of_10000_cells_s": round(_timed("wide", "--dry-run"), 2),
                "dry_run_of_10000_cells_s": round(
                    min(_timed("wide", "--dry-run") for _ in range(3)), 2
                ),
                "500_finished_cells_again_s": round(min(_timed("done") for _ in range(3)), 2),
            },
        )


def _timed(*words: str) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "discl.cli", "sweep", *words], check=True, capture_output=True
    )
    return time.perf_counter() - began


def _finished(swept: SweepFile) -> None:
    """Stored results for every cell, in the shape and size of a published one."""
    from discl.core.result import Result
    from discl.core.search_path import shipped

    like = Result.read(
        sorted(
            (
                shipped("benchmarks").parent / "leaderboards" / "results" / "cifar10_lt" / "smoke"
            ).glob("*.json")
        )[0]
    )
    store = Store()
    for point in expand(swept):
        id = point.experiment.id()
        _, folder = store.new_attempt(id)
        store.finish(
            folder,
            dataclasses.replace(
                like, id=id, strategy=point.experiment.strategy, seed=point.experiment.seed
            ),
        )


# ---------------------------------------------------------------- search


@main.command()
@click.option("--workers", default=2, show_default=True)
def record(workers: int) -> None:
    """Run every point of sweeps/recorded.toml and keep its val scores; goes on where it was
    stopped.
    """
    os.chdir(HERE)
    swept = sweep_load.load("recorded")
    store = Store()
    points = expand(swept)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "discl.cli",
            "sweep",
            "recorded",
            "--workers",
            str(workers),
            "--trackers",
            "",
        ],
        check=True,
    )
    scores: dict[str, list[float]] = {}
    for point in points:
        result = store.find(point.experiment.id())
        if result is None:
            raise click.ClickException(f"{point.at} is not complete; the same command goes on")
        indices = [values.index(point.at[axis]) for axis, values in swept.grid.items()]
        scores.setdefault(",".join(map(str, indices)), []).append(
            round(result.metrics["val/macro_acc"], 6)
        )
    recorded = {
        "grid": swept.grid,
        "seeds": swept.seeds,
        "epochs": points[0].experiment.benchmark.train.epochs,
        "scores": scores,
    }
    RECORDED.write_text(json.dumps(recorded, separators=(",", ":")) + "\n", "utf-8")


@main.command()
@click.option("--repeats", default=20, show_default=True)
@click.option(
    "--near",
    default=0.005,
    show_default=True,
    help="How near to the best point of all a search has to come, as a fraction.",
)
@click.option(
    "--most", default=120, show_default=True, help="Trials after which a search is given up."
)
def search(repeats: int, near: float, most: int) -> None:
    """Epochs until the best complete trial is near the best point of all, over sampler seeds, with
    the functions the tuner uses.
    """
    kept = json.loads(RECORDED.read_text("utf-8"))
    table = {
        tuple(map(int, indices.split(","))): scores for indices, scores in kept["scores"].items()
    }
    best = max(float(np.mean(scores)) for scores in table.values())
    space = {
        path: Dimension(type="int", low=0, high=len(values) - 1)
        for path, values in kept["grid"].items()
    }
    ways = {  # gp is what the default comes to, up to 60 trials
        "default": TuneTable(trials=most, sampler="gp"),
        "default, nothing given up": TuneTable(trials=most, sampler="gp", pruner="none"),
        "random, nothing given up": TuneTable(trials=most, sampler="random", pruner="none"),
    }
    summary: dict[str, Any] = {
        "points": len(table),
        "replicates": len(kept["seeds"]),
        "exhaustive_epochs": kept["epochs"] * sum(map(len, table.values())),
    }
    for name, settings in ways.items():
        runs = [
            _replayed(table, space, settings.model_copy(update={"seed": seed}), best - near)
            for seed in range(repeats)
        ]
        epochs = [count * kept["epochs"] for count, _ in runs]
        summary[name] = {
            "epochs_median": statistics.median(epochs),
            "epochs_mean": round(statistics.mean(epochs)),
            "trials_median": statistics.median(trials for _, trials in runs),
            "never": sum(trials >= most for _, trials in runs),
        }
    for name in list(ways)[1:]:
        summary[f"times fewer than {name}"] = round(
            summary[name]["epochs_mean"] / summary["default"]["epochs_mean"], 2
        )
    report(OUTPUT, "search", summary)


def _replayed(
    table: Mapping[tuple[int, ...], Sequence[float]],
    space: Mapping[str, Dimension],
    settings: TuneTable,
    wanted: float,
) -> tuple[int, int]:
    """(runs, trials) until a complete trial reaches `wanted`; a run made before costs nothing."""
    made: set[tuple[tuple[int, ...], int]] = set()
    tried: list[FinishedTrial] = []
    own = dict(zip(space, OWN, strict=True))
    begin = end = 0
    while end < settings.trials:
        begin, end = round_of(end, 1, settings.round, settings.trials)
        beside: list[Mapping[str, Any]] = []
        ended: list[FinishedTrial] = []
        for slot in range(begin, end):
            how = SamplerSettings(settings.sampler, settings.startup, settings.seed)
            params = propose(space, how, slot, tried, beside) if slot else own
            beside.append(params)
            ended.append(
                _tried(table, tuple(params[path] for path in space), params, settings, tried, made)
            )
            finished = [*tried, *ended]
            if (order := best_of(finished)) and finished[order[0]].mean >= wanted:
                return len(made), slot + 1
        tried += ended
    return len(made), settings.trials


def _tried(
    table: Mapping[tuple[int, ...], Sequence[float]],
    indices: tuple[int, ...],
    params: Mapping[str, Any],
    settings: TuneTable,
    before: Sequence[FinishedTrial],
    made: set[tuple[tuple[int, ...], int]],
) -> FinishedTrial:
    scores: dict[int, float] = {}
    for unit, score in enumerate(table[indices]):
        made.add((indices, unit))
        scores[unit] = score
        if is_clearly_worse(settings, before, scores) and len(scores) < len(table[indices]):
            return FinishedTrial(params, scores, False)
    return FinishedTrial(params, scores, True)


if __name__ == "__main__":
    main()
