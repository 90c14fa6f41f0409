"""The comparison: results grouped by strategy, with intervals, paired differences, and what they may not be mixed with."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.files.disk import write_text
from discl.harness import columns
from discl.harness.stats import Estimate, estimate, paired
from discl.harness.store import Store
from discl.spec.benchmark import Benchmark, Experiment, experiments
from discl.spec.errors import UserError
from discl.spec.result import Result

BASELINES = ("real_rebalanced", "real_only")


@dataclass(frozen=True)
class Row:
    """One strategy."""

    strategy: str
    seeds: list[int]
    complete: bool  # every declared seed is there; otherwise shown, never ranked
    metrics: dict[str, Estimate]
    differences: dict[str, dict[str, Estimate]]  # baseline -> metric -> paired difference
    minutes: float  # a run, mean


@dataclass(frozen=True)
class Board:
    """A table whose rows may be compared with each other."""

    benchmark: str
    scale: str
    title: str
    declared_seeds: list[int]
    rows: list[Row]
    passport: dict[str, Any]
    hardware: list[str]
    columns: dict[str, str]  # metric -> title; the first one ranks
    differences: tuple[str, ...]  # metrics that are also shown against the baselines
    caption: str  # what the columns mean


def stored_results(spec: Benchmark, store: Store) -> list[Result]:
    """The complete runs of a benchmark's experiments."""
    return [found for experiment in experiments(spec) if (found := store.find(experiment.id()))]


def with_every_seed(spec: Benchmark, store: Store) -> Benchmark:
    """`spec` with all seeds that have a complete run of it, so that a board shows everything there is."""

    def belongs(result: Result) -> bool:
        alike = (result.benchmark, result.scale) == (spec.name, spec.scale) and result.strategy in spec.strategies
        return alike and Experiment(benchmark=spec, strategy=result.strategy, seed=result.seed).id() == result.id

    seeds = {result.seed for result in store.complete() if belongs(result)}
    return spec.model_copy(update={"seeds": sorted(seeds)}) if seeds else spec


def board(spec: Benchmark, results: Sequence[Result]) -> Board:
    """Group results by strategy, best mean of the first column first; incomplete rows last."""
    if not results:
        raise UserError(f"no complete run of {spec.name} at scale {spec.scale} yet; run: discl bench {spec.name} --scale {spec.scale}")
    passport = _one_passport(results)
    by_strategy: dict[str, list[Result]] = {}
    for result in results:
        by_strategy.setdefault(result.strategy, []).append(result)
    shown = columns.of(results)
    rows = [_row(name, group, by_strategy, spec.seeds, shown) for name, group in by_strategy.items()]
    first = next(iter(shown.titles))
    rows.sort(key=lambda row: (not row.complete, not row.metrics[first].n, -row.metrics[first].mean, row.strategy))
    hardware = sorted({f"{r.provenance['processor']}, {r.provenance['device']}, {r.provenance['threads']} threads" for r in results})
    titles, differences, caption = shown
    return Board(spec.name, spec.scale, spec.title, list(spec.seeds), rows, passport, hardware, titles, differences, caption)


def _one_passport(results: Sequence[Result]) -> dict[str, Any]:
    """What all results agree on; refuses a mixture, naming what differs and where."""
    merged: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for result in results:
        for key, value in result.passport.items():
            if value is None:  # a run without generated images has no bank to disagree about
                continue
            if merged.setdefault(key, value) != value:
                raise UserError(
                    f"these results cannot stand in one table: {key} is {merged[key]} for {owner[key]} and {value} for {result.name}; "
                    "run one of them again with the current benchmark file, or remove it"
                )
            owner.setdefault(key, result.name)
    return merged


def _row(name: str, group: list[Result], everyone: dict[str, list[Result]], declared: Sequence[int], shown: columns.Columns) -> Row:
    def by_seed(results: list[Result], metric: str) -> dict[int, float]:
        return {result.seed: result.metrics[metric] for result in results if metric in result.metrics}

    differences = {
        baseline: {metric: paired(by_seed(group, metric), by_seed(everyone[baseline], metric)) for metric in shown.differences}
        for baseline in BASELINES
        if baseline in everyone and baseline != name
    }
    return Row(
        strategy=name,
        seeds=sorted(result.seed for result in group),
        complete={result.seed for result in group} >= set(declared),
        metrics={metric: estimate(list(by_seed(group, metric).values())) for metric in shown.titles},
        differences=differences,
        minutes=sum(result.cost["seconds"] for result in group) / len(group) / 60,
    )


# ---------------------------------------------------------------- showing


def percent(value: Estimate, signed: bool = False) -> str:
    """'37.3 ± 0.8', in percent; '-' where there is nothing."""
    if value.n == 0 or math.isnan(value.mean):
        return "-"
    text = f"{100 * value.mean:+.1f}" if signed else f"{100 * value.mean:.1f}"
    return text if value.half_width is None else f"{text} ± {100 * value.half_width:.1f}"


def header(board: Board) -> list[str]:
    """Column titles of the table."""
    shown = [baseline for baseline in BASELINES if any(baseline in row.differences for row in board.rows)]
    return ["strategy", "n", *board.columns.values(), *(f"Δ {board.columns[m]} to {b}" for b in shown for m in board.differences)]


def lines(board: Board) -> list[list[str]]:
    """The table's cells as text. A difference whose interval excludes zero carries a star."""
    shown = [baseline for baseline in BASELINES if any(baseline in row.differences for row in board.rows)]
    out = []
    for row in board.rows:
        cells = [row.strategy + ("" if row.complete else " (incomplete)"), f"{len(row.seeds)}"]
        cells += [percent(row.metrics[metric]) for metric in board.columns]
        for baseline in shown:
            for metric in board.differences:
                difference = row.differences.get(baseline, {}).get(metric)
                star = "*" if difference and difference.excludes_zero() else ""
                cells.append(percent(difference, signed=True) + star if difference else "-")
        out.append(cells)
    return out


def as_json(board: Board) -> str:
    """The board for programs; fractions."""

    def estimates(values: dict[str, Estimate]) -> dict[str, Any]:
        return {name: value._asdict() for name, value in values.items() if value.n}

    rows = [
        {
            "strategy": row.strategy,
            "seeds": row.seeds,
            "complete": row.complete,
            "minutes": row.minutes,
            "metrics": estimates(row.metrics),
            "differences": {baseline: estimates(values) for baseline, values in row.differences.items()},
        }
        for row in board.rows
    ]
    head = {"benchmark": board.benchmark, "scale": board.scale, "seeds": board.declared_seeds, "passport": board.passport}
    return json.dumps({**head, "rows": rows}, indent=1) + "\n"


def as_markdown(board: Board) -> str:
    """The table, what its numbers mean, and how to make them again."""
    titles = header(board)
    table = ["| " + " | ".join(titles) + " |", "|" + " --- |" * len(titles)]
    table += ["| " + " | ".join(cells) + " |" for cells in lines(board)]
    seeds = ",".join(map(str, board.declared_seeds))
    passport = ", ".join(f"{key} `{value}`" for key, value in sorted(board.passport.items()))
    return "\n".join(
        [
            f"## {board.title}, scale `{board.scale}`",
            "",
            f"`discl bench {board.benchmark} --scale {board.scale} --seeds {seeds}`",
            "",
            *table,
            "",
            f"Percent; mean ± half the 95 % Student-t interval over seeds. {board.caption} Δ is the difference paired by seed; * marks an "
            "interval that excludes zero (no correction for the number of rows). Epochs are chosen on val; test is read once.",
            "",
            f"Passport: {passport}. Hardware: {'; '.join(board.hardware)}.",
            "",
        ]
    )


# ---------------------------------------------------------------- publishing


def publish(spec: Benchmark, store: Store, root: Path) -> list[Path]:
    """Copy complete results to `<root>/results/<benchmark>/<scale>/` and render the page anew."""
    found = stored_results(spec, store)
    board(spec, found)  # refuses a mixture before anything is written
    folder = root / "results" / spec.name / spec.scale
    if folder.exists():
        shutil.rmtree(folder)
    written = []
    for result in found:
        path = folder / f"{result.id}.json"
        write_text(path, result.to_json())
        written.append(path)
    page = root / f"{spec.name}.md"
    write_text(page, render(spec.name, root))
    return [*written, page]


def render(name: str, root: Path) -> str:
    """The page of a benchmark from its published results, all scales."""
    from discl.spec.benchmark import SCALES, load

    parts = [f"# Leaderboard: {name}", "", "Made by `discl leaderboard publish`; do not edit. The reading of it is in LOG.md.", ""]
    for scale in SCALES:
        paths = sorted((root / "results" / name / scale).glob("*.json"))
        if paths:
            results = [Result.read(path) for path in paths]
            seeds = sorted({result.seed for result in results})
            parts.append(as_markdown(board(load(name, scale).model_copy(update={"seeds": seeds}), results)))
    return "\n".join(parts)


def stale(root: Path) -> list[str]:
    """Pages under `root` that their published results would not give."""
    pages = sorted({folder.name for folder in (root / "results").glob("*") if folder.is_dir()})
    return [name for name in pages if not (root / f"{name}.md").exists() or (root / f"{name}.md").read_text("utf-8") != render(name, root)]
