"""The results of a grid as a table: its points beside each other, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discl.config.sweep import Point
from discl.config.sweep_expand import axes_that_differ
from discl.core.conventions import VAL, EpochRule
from discl.core.hashing import canonical_json
from discl.core.result import Result
from discl.harness.leaderboard import columns
from discl.harness.leaderboard.epochs import read, with_rule
from discl.harness.leaderboard.statistics import Estimate, estimate


@dataclass(frozen=True)
class GridRow:
    """One point of the grid, over its seeds."""

    at: dict[str, Any]  # axis -> value, seeds left out
    runs: int  # that the grid asks for
    results: list[Result]
    metrics: dict[str, Estimate]
    minutes: float  # a run, mean


@dataclass(frozen=True)
class GridTable:
    """A table of points, best first by the first column; points without a result come last."""

    axes: list[str]
    columns: dict[str, str]  # metric -> title
    rows: list[GridRow]
    rule: EpochRule = VAL  # which epoch of each run its numbers are of
    # why that is another rule than the benchmark's, or which results are left out by it
    epoch_note: str = ""


def grid_table(points: Sequence[Point], results: Mapping[str, Result]) -> GridTable:
    """The results by id of a sweep's points, grouped by what differs besides the seed."""
    axes = axes_that_differ(points)
    done = [results[id] for point in points if (id := point.experiment.id()) in results]
    wanted = points[0].experiment.benchmark.select.epoch if points else VAL.name
    kept = with_rule(done, wanted)
    at = read(kept.results, wanted)
    results = {result.id: result for result in at.results}
    groups: dict[str, list[Point]] = {}
    for point in points:
        key = canonical_json([point.at.get(axis) for axis in axes])
        groups.setdefault(key, []).append(point)
    titles = _titles(points, results)
    rows = [_row(axes, group, results, titles) for group in groups.values()]
    rows.sort(key=lambda row: (not row.results, -_score(row, next(iter(titles), ""))))
    return GridTable(axes, titles, rows, at.rule, at.note or kept.left_out)


def _titles(points: Sequence[Point], results: Mapping[str, Result]) -> dict[str, str]:
    """Metric -> title, of the first benchmark with results; others show a dash for what they lack.

    The metric that epochs are chosen by comes first, on the in-distribution test split.
    """
    done = [results[id] for point in points if (id := point.experiment.id()) in results]
    if not done:
        return {}
    titles = columns.of([r for r in done if r.benchmark == done[0].benchmark]).titles
    first = dict(list(titles.items())[:1])
    return first | {metric: title for metric, title in titles.items() if title in columns.BRIEF}


def _score(row: GridRow, metric: str) -> float:
    return row.metrics[metric].mean if row.results and row.metrics[metric].n else 0.0


def _row(
    axes: Sequence[str],
    group: Sequence[Point],
    results: Mapping[str, Result],
    titles: Mapping[str, str],
) -> GridRow:
    ids = list(dict.fromkeys(point.experiment.id() for point in group))
    done = [results[id] for id in ids if id in results]
    metrics = {}
    for metric in titles:
        values = [result.metrics[metric] for result in done if metric in result.metrics]
        metrics[metric] = estimate(values)
    seconds = sum(result.cost["seconds"] for result in done)
    return GridRow(
        at={axis: group[0].at.get(axis) for axis in axes},
        runs=len(ids),
        results=done,
        metrics=metrics,
        minutes=seconds / 60 / max(1, len(done)),
    )
