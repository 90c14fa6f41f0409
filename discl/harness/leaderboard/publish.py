"""Published results: written to `leaderboards/`, submitted, rendered as pages, checked."""

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
from discl.harness.leaderboard.ages import by_age
from discl.harness.leaderboard.formats import as_markdown
from discl.harness.leaderboard.stored import runs_of, with_runs
from discl.harness.leaderboard.table import board
from discl.harness.leaderboard.verify import Verification, verify
from discl.harness.leaderboard.wording import placed
from discl.harness.run.store import Store


def publish(spec: Benchmark, store: Store, root: Path) -> list[Path]:
    """Publish the complete results of a benchmark, and render its page; returns the files.

    Results go to `<root>/results/<benchmark>/<scale>/`, where they replace those of before.
    """
    ages = by_age(_runs(spec, store))
    results = [*ages.compared, *ages.before]
    board(spec, results)  # refuses a mixture before anything is written
    folder = _folder(root, spec.name, spec.scale)
    if folder.exists():
        shutil.rmtree(folder)
    return _write(results, spec, root)


def submit(spec: Benchmark, store: Store, root: Path) -> tuple[list[Path], str]:
    """Add complete results to the published ones: (files, text of the pull request).

    Raises UserError for results of code that is in no commit, of fewer seeds than the benchmark
    has, and for those that do not compare with what is published or do not verify. Runs from before
    a correction are not submitted.
    """
    results = by_age(_runs(spec, store)).compared
    if not results:
        board(spec, results)
    _check_submission(spec, results)
    ids = {result.id for result in results}
    others = [result for result in committed(root, spec.name, spec.scale) if result.id not in ids]
    seeds = sorted({result.seed for result in (*results, *others)})
    made = board(spec.model_copy(update={"seeds": seeds}), [*others, *results])
    paths = _write(results, spec, root)
    verification = verify(paths[:-1], store)
    if verification.faults:
        first = verification.faults[0]
        raise UserError(f"{len(verification.faults)} faults, the first: {first}")
    strategies = {result.strategy for result in results}
    lines = [
        f"# {spec.title}, scale {spec.scale}: {', '.join(sorted(strategies))}",
        "",
        *(
            f"- `{row.strategy}`: place {placed(row)}, seeds {row.seeds}"
            for row in made.rows
            if row.strategy in strategies
        ),
        "",
        _made_with(results),
        "",
        f"{verification.numbers:,} numbers were computed again from what was predicted.",
        "",
    ]
    return paths, "\n".join(lines)


def _runs(spec: Benchmark, store: Store) -> list[Result]:
    return runs_of(spec, store, every_strategy=False, every_seed=False)[1]


def _check_submission(spec: Benchmark, results: Sequence[Result]) -> None:
    for result in results:
        commit = result.provenance.get("commit")
        if str(commit or "unknown").endswith(("+", "unknown")):
            raise UserError(
                f"{result.name} was made by code that is in no commit ({commit}), so it cannot be"
                " repeated; commit the code, remove the run's folder, and run it again"
            )
    for strategy in sorted({result.strategy for result in results}):
        seeds = {result.seed for result in results if result.strategy == strategy}
        if missing := sorted(set(spec.seeds) - seeds):
            raise UserError(
                f"{strategy} has no complete run of seeds {missing}; run them, or name what to"
                " submit by --strategies and --seeds"
            )


def _made_with(results: Sequence[Result]) -> str:
    hardware = {
        f"{result.provenance['processor']}, {result.provenance['device']}" for result in results
    }
    commits = {str(result.provenance["commit"]) for result in results}
    hours = sum(result.cost["seconds"] for result in results) / 3600
    return (
        f"Made with discl at {', '.join(sorted(commits))} on {'; '.join(sorted(hardware))}:"
        f" {hours:.1f} hours."
    )


def _write(results: Sequence[Result], spec: Benchmark, root: Path) -> list[Path]:
    """Write result files, then the page that shows them; returns them in this order."""
    paths = [_folder(root, spec.name, spec.scale) / f"{result.id}.json" for result in results]
    for path, result in zip(paths, results, strict=True):
        write_text(path, result.to_json())
    page = root / f"{spec.name}.md"
    write_text(page, render(spec.name, root))
    return [*paths, page]


def _folder(root: Path, benchmark: str, scale: str) -> Path:
    return root / "results" / benchmark / scale


def committed(root: Path, benchmark: str, scale: str) -> list[Result]:
    """Published results of a benchmark at a scale."""
    return [Result.read(path) for path in sorted(_folder(root, benchmark, scale).glob("*.json"))]


def shipped_results(
    spec: Benchmark, *, every_strategy: bool = True, every_seed: bool = True
) -> tuple[Benchmark, list[Result]]:
    """Published results of a benchmark, and `spec` with their strategies and seeds.

    Those in `leaderboards/` here, else those shipped; without `every_strategy` or `every_seed`,
    only those of `spec`. Raises UserError where nothing is published of the benchmark at its scale.
    """
    for root in folders("leaderboards"):
        if published := committed(root, spec.name, spec.scale):
            results = [
                result
                for result in published
                if (every_strategy or result.strategy in spec.strategies)
                and (every_seed or result.seed in spec.seeds)
            ]
            every = {"every_strategy": every_strategy, "every_seed": every_seed}
            return with_runs(spec, results, **every), results
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
            plain = load(name, scale)
            spec = with_runs(plain, results, every_strategy=True, every_seed=True)
            parts.append(as_markdown(board(spec, results)))
    return "\n".join(parts)


def stale(root: Path) -> list[str]:
    """Names of the pages under `root` that are not as their published results render."""
    names = sorted({folder.name for folder in (root / "results").glob("*") if folder.is_dir()})
    return [name for name in names if not _is_current(root / f"{name}.md", name, root)]


def _is_current(page: Path, name: str, root: Path) -> bool:
    return page.exists() and page.read_text("utf-8") == render(name, root)


def verify_published(root: Path, store: Store) -> Verification:
    """Verify every published result under `root`."""
    return verify(sorted((root / "results").glob("*/*/*.json")), store)
