"""A board at W&B: a run of its own that shows the table, and an artifact that refers to the
published results it was made from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.result import Result
from discl.harness.leaderboard.table import board, header, lines
from discl.harness.run.store import Store
from discl.harness.wandb import artifacts
from discl.harness.wandb.session import Label, Place, opened


def publish(
    spec: Benchmark,
    root: Path,
    store: Store,
    place: Place,
    tell: Callable[[str], None] = lambda _: None,
) -> str:
    """Tell W&B of the published results of a benchmark; the name of the artifact.

    Results of this machine's runs are linked to them.
    """
    paths = sorted((root / "results" / spec.name / spec.scale).glob("*.json"))
    if not paths:
        raise UserError(
            f"{root} holds no published result of {spec.name} at scale {spec.scale}; run: discl"
            f" leaderboard publish {spec.name}"
        )
    results = [Result.read(path) for path in paths]
    name = f"leaderboard-{spec.name}-{spec.scale}"
    run = opened(_label(spec, name, results, place), place)
    complete = False
    try:
        run.summary["board"] = _table(spec, results)
        run.summary["results"] = len(results)
        for result in results:
            folder = store.folder(result)
            if (folder / "result.json").exists():
                artifacts.use(run, artifacts.of_result(result, folder))
                tell(result.name)
        run.log_artifact(_artifact(name, root, paths, results))
        complete = True
    finally:
        run.finish(exit_code=0 if complete else 1)
    return name


def _label(spec: Benchmark, name: str, results: list[Result], place: Place) -> Label:
    return Label(
        id=short({"leaderboard": spec.name, "scale": spec.scale}),
        name=name,
        project=place.project(f"discl-{spec.name}"),
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

    made = board(spec, results)
    return wandb.Table(columns=list(header(made)), data=[list(cells) for cells in lines(made)])


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
