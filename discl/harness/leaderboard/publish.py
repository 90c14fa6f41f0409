"""Published results: written to `leaderboards/`, submitted, rendered as pages, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from discl.config.benchmark import SCALES, Benchmark
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.plain_files import plain_text
from discl.core.result import Result
from discl.core.search_path import folders
from discl.core.text import Markdown
from discl.files.disk import atomic_write, recovered, replaced_folder
from discl.harness.leaderboard.ages import by_age
from discl.harness.leaderboard.formats import as_markdown
from discl.harness.leaderboard.stored import runs_of, with_runs
from discl.harness.leaderboard.table import board
from discl.harness.leaderboard.verify import Verification, verify
from discl.harness.leaderboard.wording import placed
from discl.harness.run.store import Store
from discl.harness.run.validation import read_result


def publish(spec: Benchmark, store: Store, root: Path) -> list[Path]:
    """Publish the complete results of a benchmark, and render its page; returns the files.

    Results go to `<root>/results/<benchmark>/<scale>/`, where they replace those of before. Raises
    UserError, and replaces nothing, where one does not verify.
    """
    ages = by_age(_runs(spec, store))
    results = [*ages.compared, *ages.before]
    board(spec, results)  # refuses a mixture
    _verified(results, spec, store, root)
    return _write(results, spec, root)


def submit(spec: Benchmark, store: Store, root: Path) -> tuple[list[Path], Markdown]:
    """Add complete results to the published ones: (files, text of the pull request).

    Raises UserError, and writes nothing, for results of code that is in no commit, of fewer seeds
    than the benchmark has, and for those that do not compare with what is published or do not
    verify. Runs from before a correction are not submitted.
    """
    results = by_age(_runs(spec, store)).compared
    if not results:
        board(spec, results)
    _check_submission(spec, results)
    ids = {result.id for result in results}
    others = [result for result in committed(root, spec.name, spec.scale) if result.id not in ids]
    everything = [*others, *results]
    made = board(with_runs(spec, everything, every_strategy=False, every_seed=True), everything)
    verification = _verified(results, spec, store, root)
    *_, page = _write([*others, *results], spec, root)
    paths = [*_paths(results, spec, root), page]
    strategies = {result.strategy for result in results}
    lines = [
        Markdown("# {}, scale {}: {}").format(
            spec.title, spec.scale, ", ".join(sorted(strategies))
        ),
        "",
        *(
            Markdown("- {}: place {}, seeds {}").format(
                Markdown.code(row.strategy), placed(row), ", ".join(map(str, row.seeds))
            )
            for row in made.rows
            if row.strategy in strategies
        ),
        "",
        _made_with(results),
        "",
        f"{verification.numbers:,} numbers were computed again from what was predicted.",
        "",
    ]
    return paths, Markdown("\n").join(lines)


def _verified(results: Sequence[Result], spec: Benchmark, store: Store, root: Path) -> Verification:
    """Verify results as they will lie under `root`; raises UserError where one has a fault."""
    as_published = dict(zip(_paths(results, spec, root), results, strict=True))
    verification = verify(list(as_published), store, as_published.__getitem__)
    if verification.faults:
        raise UserError(
            f"{len(verification.faults)} faults, so nothing is written; the first:"
            f" {verification.faults[0]}"
        )
    return verification


def _runs(spec: Benchmark, store: Store) -> list[Result]:
    return runs_of(spec, store, every_strategy=False, every_seed=False, every_file=True)[1]


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
    """Let these be all published results of a scale, and render the page; returns the files.

    All is written beside before anything takes its place, so that old files or new ones are there.
    """
    results = sorted(results, key=lambda result: result.id)  # as they are read
    page = root / f"{spec.name}.md"
    folder = _folder(root, spec.name, spec.scale)
    # the page's rename follows at once; a kill in between leaves one that `render` finds stale
    with atomic_write(page) as new_page:
        new_page.write_text(render(spec.name, root, {spec.scale: results}), "utf-8")
        with replaced_folder(folder) as new:
            for result in results:
                (new / f"{result.id}.json").write_text(result.to_json(), "utf-8")
    return [*_paths(results, spec, root), page]


def _paths(results: Sequence[Result], spec: Benchmark, root: Path) -> list[Path]:
    folder = _folder(root, spec.name, spec.scale)
    return [folder / f"{result.id}.json" for result in results]


def _folder(root: Path, benchmark: str, scale: str) -> Path:
    return root / "results" / benchmark / scale


def committed(root: Path, benchmark: str, scale: str) -> list[Result]:
    """Published results of a benchmark at a scale."""
    folder = recovered(_folder(root, benchmark, scale))
    return [read_result(path) for path in sorted(folder.glob("*.json"))]


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


def render(
    name: str, root: Path, instead: Mapping[str, Sequence[Result]] | None = None
) -> Markdown:
    """The page of a benchmark from its published results, all scales.

    At the scales of `instead` its results are taken for the published ones.
    """
    instead = instead or {}
    parts = [
        Markdown("# Leaderboard: {}").format(name),
        Markdown(),
        Markdown(
            "Made by `discl leaderboard publish`; do not edit. The reading of it is in LOG.md."
        ),
        Markdown(),
    ]
    for scale in SCALES:
        results = instead[scale] if scale in instead else committed(root, name, scale)
        if results:
            plain = load(name, scale)
            spec = with_runs(plain, results, every_strategy=True, every_seed=True)
            parts.append(as_markdown(board(spec, results)))
    return Markdown("\n").join(parts)


def stale(root: Path) -> list[str]:
    """Names of the pages under `root` that are not as their published results render."""
    names = sorted({folder.name for folder in (root / "results").glob("*") if folder.is_dir()})
    return [name for name in names if not _is_current(root / f"{name}.md", name, root)]


def _is_current(page: Path, name: str, root: Path) -> bool:
    return page.exists() and plain_text(page) == render(name, root)


def verify_published(root: Path, store: Store) -> Verification:
    """Verify every published result under `root`."""
    for benchmark in (root / "results").glob("*"):
        for scale in SCALES:
            recovered(_folder(root, benchmark.name, scale))
    found = sorted((root / "results").glob("*/*/*.json"))
    paths = [path for path in found if not path.parent.name.startswith(".")]  # being written
    return verify(paths, store)
