"""What a grid showed: its points beside each other, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discl.config.sweep import Point
from discl.config.sweep_expand import axes_that_differ
from discl.core.hashing import canonical_json
from discl.core.result import Result
from discl.harness.leaderboard import columns
from discl.harness.leaderboard.statistics import Estimate, estimate


@dataclass(frozen=True)
class GridRow:
    """One place of the grid."""

    at: dict[str, Any]  # axis -> value, seeds left out
    wanted: int  # runs
    results: list[Result]
    metrics: dict[str, Estimate]
    minutes: float  # a run, mean


@dataclass(frozen=True)
class GridTable:
    """A table of places; best first by the metric that epochs are chosen by, on the home test
    split.
    """

    axes: list[str]
    columns: dict[str, str]  # metric -> title
    rows: list[GridRow]


def grid(points: Sequence[Point], results: Mapping[str, Result]) -> GridTable:
    """The results of a sweep's points by id, grouped by place; places without a result come last."""
    axes = axes_that_differ(points)
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(canonical_json([point.at.get(axis) for axis in axes]), []).append(point)
    # the columns of the first benchmark that has results: what another one lacks is shown as a dash
    there = [results[id] for point in points if (id := point.experiment.id()) in results]
    shown = (
        columns.of([result for result in there if result.benchmark == there[0].benchmark]).titles
        if there
        else {}
    )
    titles = dict(list(shown.items())[:1]) | {
        metric: title for metric, title in shown.items() if title in columns.BRIEF
    }
    rows = [_row(axes, group, results, titles) for group in groups.values()]
    first = next(iter(titles), "")
    rows.sort(
        key=lambda row: (
            not row.results,
            -(row.metrics[first].mean if row.results and row.metrics[first].n else 0.0),
        )
    )
    return GridTable(axes, titles, rows)


def _row(
    axes: Sequence[str],
    group: Sequence[Point],
    results: Mapping[str, Result],
    titles: Mapping[str, str],
) -> GridRow:
    found = [
        results[id]
        for id in dict.fromkeys(point.experiment.id() for point in group)
        if id in results
    ]
    metrics = {
        metric: estimate([result.metrics[metric] for result in found if metric in result.metrics])
        for metric in titles
    }
    minutes = sum(result.cost["seconds"] for result in found) / 60 / max(1, len(found))
    return GridRow(
        {axis: group[0].at.get(axis) for axis in axes},
        len({point.experiment.id() for point in group}),
        found,
        metrics,
        minutes,
    )
