"""Tiny real runs for the tests of the W&B sync, and checks of what W&B holds of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discl.core.dashboard_rows import DashboardRows
from discl.harness.run import events
from discl.harness.run.store import Store
from tests.wandb_server import Run, Server

STRATEGIES, SEEDS = ("static", "adaptive", "real_only"), (0, 1, 2)


def settings(photos: Path) -> list[str]:
    """600 photos, seen once by a small network: a run takes a tenth of what a process takes to
    begin.
    """
    return [
        f"dataset.root={photos}",
        "backbone.frozen=true",
        "backbone.model=test_resnet",
        "backbone.arguments={}",
        "backbone.stem_stride=4",
        "generator.name=blend",
        "bank.variants=1",
        "levels=[0,50,100]",
        "train.epochs=6",
        "train.curriculum_epochs=4",
        "train.evaluate_every=2",
        "train.batch=32",
        "train.checkpoint_seconds=0",
    ]


def words(photos: Path, seeds: Sequence[int] = SEEDS) -> list[str]:
    """The same for a command line, with the strategies and seeds."""
    sets = [word for setting in settings(photos) for word in ("--set", setting)]
    return [
        "cifar100_lt",
        "--strategies",
        ",".join(STRATEGIES),
        "--seeds",
        ",".join(map(str, seeds)),
        *sets,
    ]


def recorded_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of an attempt's record."""
    rows = DashboardRows()
    return [rows.of(report) for report in events.epochs(folder)]


def ours(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what W&B adds."""
    return {key: value for key, value in row.items() if not key.startswith("_")}


def trainings(server: Server) -> list[Run]:
    """Runs that are no banks."""
    return [run for run in server.runs.values() if run.labels.get("jobType") in ("train", "tune")]


def check_whole(server: Server, store: Store, ids: Sequence[str]) -> None:
    """W&B holds each epoch of each run once, in order, as an attempt's record tells it, and each
    run is finished.
    """
    assert not server.faults, server.faults[0]
    assert sorted(run.name for run in trainings(server)) == sorted(ids)
    for run in trainings(server):
        attempts = [
            recorded_rows(folder) for folder in sorted((store.root / run.name).glob("[0-9]*"))
        ]
        assert [row["_step"] for row in run.rows] == list(range(len(attempts[-1])))
        for epoch, row in enumerate(
            run.rows
        ):  # epochs that a killed attempt told are not told again
            assert any(same(ours(row), rows[epoch]) for rows in attempts if epoch < len(rows)), (
                run.name,
                epoch,
            )
        result = store.find(run.name)
        assert result
        result = result.under("last")
        assert run.summary["epoch_rule"] == "last"
        assert run.exit_code == 0
        assert same({key: run.summary[_key(key)] for key in result.metrics}, result.metrics)
        assert run.summary["chosen_epoch"] == result.chosen_epoch


def _key(metric: str) -> str:
    """Where the summary has a result's metric: val/... is what the epochs told."""
    return metric.replace("val/", "chosen/", 1) if metric.startswith("val/") else metric


def same(left: Mapping[str, Any], right: Mapping[str, Any]) -> bool:
    """Equal to the last bit; NaN equals NaN."""
    return left.keys() == right.keys() and all(
        left[key] == right[key] or (math.isnan(float(left[key])) and math.isnan(float(right[key])))
        for key in left
    )
