"""Results that are committed: published, submitted, rendered into pages, and checked."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from discl.config.benchmark import SCALES, Benchmark
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.result import Result
from discl.core.search_path import folders
from discl.files.disk import write_text
from discl.harness.leaderboard.formats import as_markdown
from discl.harness.leaderboard.table import board, placed, stored_results
from discl.harness.leaderboard.verify import Verified, verify
from discl.harness.run.store import Store


def publish(spec: Benchmark, store: Store, root: Path) -> list[Path]:
    """Make complete results the only ones under `<root>/results/<benchmark>/<scale>/`, and render
    the page anew.
    """
    found = stored_results(spec, store)
    board(spec, found)  # refuses a mixture before anything is written
    folder = _folder(root, spec.name, spec.scale)
    if folder.exists():
        shutil.rmtree(folder)
    return _written(found, spec, root)


def submit(spec: Benchmark, store: Store, root: Path) -> tuple[list[Path], str]:
    """Add complete results to those that are there, and say what a pull request should: (files,
    text).

    Refused are results of changed code, of fewer seeds than others have, and those that do not
    compare with what is there.
    """
    found = stored_results(spec, store)
    if not found:
        board(spec, found)
    _check_submitted(spec, found)
    theirs = [
        Result.read(path) for path in sorted(_folder(root, spec.name, spec.scale).glob("*.json"))
    ]
    others = [result for result in theirs if result.id not in {mine.id for mine in found}]
    whole = spec.model_copy(update={"seeds": sorted({result.seed for result in (*found, *others)})})
    made = board(whole, [*others, *found])
    paths = _written(found, spec, root)
    checked = verify(paths[:-1], store)
    if checked.faults:
        raise UserError(f"{len(checked.faults)} faults, the first: {checked.faults[0]}")
    mine = {result.strategy for result in found}
    places = [
        f"- `{row.strategy}`: place {placed(row)}, seeds {row.seeds}"
        for row in made.rows
        if row.strategy in mine
    ]
    about = [
        f"# {spec.title}, scale {spec.scale}: {', '.join(sorted(mine))}",
        "",
        *places,
        "",
        *_made_with(found),
    ]
    return paths, "\n".join(
        [
            *about,
            "",
            f"{checked.numbers:,} numbers were computed again from what was predicted.",
            "",
        ]
    )


def _check_submitted(spec: Benchmark, found: Sequence[Result]) -> None:
    for result in found:
        if str(result.provenance.get("commit", "unknown")).endswith(("+", "unknown")):
            raise UserError(
                f"{result.name} was made by code that is in no commit"
                f" ({result.provenance.get('commit')}), so nobody can repeat it; commit the code,"
                " remove the run's folder, and run it again"
            )
    for strategy in sorted({result.strategy for result in found}):
        lacking = sorted(
            set(spec.seeds) - {result.seed for result in found if result.strategy == strategy}
        )
        if lacking:
            raise UserError(
                f"{strategy} has no complete run of seeds {lacking}; run them, or name the seeds to"
                " submit by --seeds"
            )


def _made_with(found: Sequence[Result]) -> list[str]:
    hardware = sorted(
        {f"{result.provenance['processor']}, {result.provenance['device']}" for result in found}
    )
    hours = sum(result.cost["seconds"] for result in found) / 3600
    return [
        f"Made with discl at {', '.join(sorted({str(r.provenance['commit']) for r in found}))} on"
        f" {'; '.join(hardware)}: {hours:.1f} hours."
    ]


def _written(found: Sequence[Result], spec: Benchmark, root: Path) -> list[Path]:
    paths = [_folder(root, spec.name, spec.scale) / f"{result.id}.json" for result in found]
    for path, result in zip(paths, found, strict=True):
        write_text(path, result.to_json())
    page = root / f"{spec.name}.md"
    write_text(page, render(spec.name, root))
    return [*paths, page]


def _folder(root: Path, benchmark: str, scale: str) -> Path:
    return root / "results" / benchmark / scale


def committed(root: Path, benchmark: str, scale: str) -> list[Result]:
    """Published results of a benchmark at a scale."""
    return [Result.read(path) for path in sorted(_folder(root, benchmark, scale).glob("*.json"))]


def shipped_results(spec: Benchmark) -> list[Result]:
    """Published results of a benchmark: those in `leaderboards/` here, else those shipped.

    Raises UserError where nothing is published of the benchmark at its scale.
    """
    for root in folders("leaderboards"):
        if results := committed(root, spec.name, spec.scale):
            return [result for result in results if result.strategy in spec.strategies]
    raise UserError(
        f"nothing is published of {spec.name} at scale {spec.scale}; without --published the table"
        " is made from the runs on this machine"
    )


def render(name: str, root: Path) -> str:
    """The page of a benchmark from its published results, all scales."""
    parts = [
        f"# Leaderboard: {name}",
        "",
        "Made by `discl leaderboard publish`; do not edit. The reading of it is in LOG.md.",
        "",
    ]
    for scale in SCALES:
        if results := committed(root, name, scale):
            seeds = sorted({result.seed for result in results})
            parts.append(
                as_markdown(board(load(name, scale).model_copy(update={"seeds": seeds}), results))
            )
    return "\n".join(parts)


def stale(root: Path) -> list[str]:
    """Pages under `root` that their published results would not give."""
    pages = sorted({folder.name for folder in (root / "results").glob("*") if folder.is_dir()})
    return [
        name
        for name in pages
        if not (root / f"{name}.md").exists()
        or (root / f"{name}.md").read_text("utf-8") != render(name, root)
    ]


def verified(root: Path, store: Store) -> Verified:
    """Every published result under `root`."""
    return verify(sorted((root / "results").glob("*/*/*.json")), store)
