"""Uploads a leaderboard: a W&B run with the table, and an artifact that refers to the results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.result import Result
from discl.core.text import typed
from discl.harness.leaderboard.stored import with_runs
from discl.harness.leaderboard.table import board
from discl.harness.leaderboard.wording import header, lines
from discl.harness.run.store import Store
from discl.harness.run.validation import read_result
from discl.harness.wandb import artifacts
from discl.harness.wandb.session import Destination, RunInit, open_run


def upload_leaderboard(
    spec: Benchmark,
    root: Path,
    store: Store,
    destination: Destination,
    on_step: Callable[[str], None] = lambda _: None,
) -> str:
    """Upload the published results of a benchmark; returns the name of the artifact.

    Runs of this machine are declared as its inputs. Raises UserError where nothing is published.
    """
    paths = sorted((root / "results" / spec.name / spec.scale).glob("*.json"))
    if not paths:
        raise UserError(
            f"{root} holds no published result of {spec.name} at scale {spec.scale}; run:"
            f" {typed('discl', 'leaderboard', 'publish', spec.name)}"
        )
    results = [read_result(path) for path in paths]
    name = f"leaderboard-{spec.name}-{spec.scale}"
    run = open_run(_init_arguments(spec, name, results, destination), destination)
    complete = False
    try:
        run.summary["board"] = _table(spec, results)
        run.summary["results"] = len(results)
        for result in results:
            folder = store.folder(result)
            if (folder / "result.json").exists():
                artifacts.use_artifact(run, artifacts.result_artifact(result, folder))
                on_step(result.name)
        run.log_artifact(_artifact(name, root, paths, results))
        complete = True
    finally:
        run.finish(exit_code=0 if complete else 1)
    return name


def _init_arguments(
    spec: Benchmark, name: str, results: list[Result], destination: Destination
) -> RunInit:
    return RunInit(
        id=short({"leaderboard": spec.name, "scale": spec.scale}),
        name=name,
        project=destination.project(f"discl-{spec.name}"),
        group=f"{spec.name}-{spec.scale}",
        job_type="leaderboard",
        tags=(spec.scale, str(spec.dataset["name"])),
        config={
            "benchmark": spec.name,
            "scale": spec.scale,
            "runs": sorted(result.id for result in results),
        },
    )


def _table(spec: Benchmark, results: list[Result]) -> Any:
    import wandb

    table = board(with_runs(spec, results, every_strategy=True, every_seed=True), results)
    return wandb.Table(columns=list(header(table)), data=[list(cells) for cells in lines(table)])


def _artifact(name: str, root: Path, paths: list[Path], results: list[Result]) -> Any:
    import wandb

    keys = {result.id: result.comparability for result in results}
    artifact = wandb.Artifact(
        name,
        type="leaderboard",
        description="published results, by reference",
        metadata={"comparability": keys},
    )
    for path in paths:
        artifact.add_reference(path.absolute().as_uri(), name=path.name)
    page = root / f"{name.removeprefix('leaderboard-').rpartition('-')[0]}.md"
    if page.exists():
        artifact.add_reference(page.absolute().as_uri(), name=page.name)
    return artifact
