"""Expands a sweep: the points of its grid, or the space of each strategy's study."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from discl.config import load as benchmarks
from discl.config.benchmark import Benchmark
from discl.config.load import BenchmarkVariants
from discl.config.setting_paths import check_path
from discl.config.sweep import SHARES, Dimension, Point, SweepFile
from discl.core.errors import UserError
from discl.core.hashing import canonical_json, rounded


def strategies(sweep: SweepFile) -> list[str]:
    """Those of the sweep; where it names none, those of its benchmark."""
    return sweep.strategies or list(benchmarks.load(sweep.benchmark, sweep.scale).strategies)


def seeds(sweep: SweepFile) -> list[int]:
    """Those of the sweep; where it names none, those of its benchmark."""
    return sweep.seeds or list(benchmarks.load(sweep.benchmark, sweep.scale).seeds)


def space_of(sweep: SweepFile, strategy: str) -> dict[str, Dimension]:
    """The dimensions of one strategy's study, in a fixed order."""
    return {
        path: dimension
        for path, dimension in sorted(sweep.space.items())
        if dimension.applies(path, strategy)
    }


def rungs(sweep: SweepFile) -> list[SweepFile]:
    """The sweep as each rung of its ladder has it; without a ladder, as it is."""
    tune = sweep.tune
    if tune is None or not tune.ladder:
        return [sweep]
    return [
        sweep.model_copy(
            update={
                "scale": rung.scale or sweep.scale,
                "set": {**sweep.set, **rung.set},
                "tune": tune.model_copy(update={"trials": rung.trials}),
            }
        )
        for rung in tune.ladder
    ]


def budget(sweep: SweepFile, strategy: str) -> int:
    """Trials of one strategy's study, at most as many as there are different settings."""
    assert sweep.tune is not None  # noqa: S101 - only sweeps that tune have studies
    settings = math.prod(dimension.count for dimension in space_of(sweep, strategy).values())
    return int(min(sweep.tune.trials, settings))


def own(sweep: SweepFile, bench: Benchmark, strategy: str) -> dict[str, Any] | None:
    """The benchmark's own setting; None where it is not in the space of the strategy."""
    space = space_of(sweep, strategy)
    values = {
        path: dimension.own(_own_value(bench, path, dimension)) for path, dimension in space.items()
    }
    return values if all(space[path].holds(value) for path, value in values.items()) else None


def _own_value(bench: Benchmark, path: str, dimension: Dimension) -> Any:
    value = check_path(path, bench).default
    if path in SHARES and dimension.type == "float" and isinstance(value, int):
        return rounded(value / check_path(SHARES[path], bench).default)
    return value


# ---------------------------------------------------------------- points


def expand(sweep: SweepFile) -> list[Point]:
    """The points of a grid.

    Seeds go slowest, so that a sweep that is stopped has compared everything on the seeds it
    finished. Raises UserError where nothing is left of the grid.
    """
    axes = grid_axes(sweep)
    order = sorted(axes, key=lambda axis: axis != "seed")
    patterns = excluded_patterns(sweep)
    points_at = []
    for values in itertools.product(*(axes[axis] for axis in order)):
        at = dict(zip(order, values, strict=True))
        if not any(matches(at, pattern) for pattern in patterns):
            points_at.append(at)
    in_grid = {canonical_json(at) for at in points_at} if sweep.include else set()
    points_at += [at for at in included_points(sweep, axes) if canonical_json(at) not in in_grid]
    if not points_at:
        raise UserError(f"{sweep.name}.toml: nothing is left of the grid; exclude less")
    return list(points(sweep, points_at))


def points(sweep: SweepFile, points_at: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    """The points where the axes have these values; a benchmark's file is read once.

    Raises UserError, which names the sweep's file, where an experiment is wrong.
    """
    try:
        yield from unnamed_points(sweep, points_at)
    except UserError as error:
        raise UserError(f"{sweep.name}.toml: {error}") from error


def unnamed_points(sweep: SweepFile, points_at: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    """As `points`; errors do not name the sweep's file."""
    variants: dict[str, BenchmarkVariants] = {}
    by_benchmark = itertools.groupby(
        points_at, key=lambda at: str(at.get("benchmark", sweep.benchmark))
    )
    for name, group in by_benchmark:
        if name not in variants:
            variants[name] = BenchmarkVariants(name, sweep.scale)
        at_values = [dict(at) for at in group]
        settings = [_settings(sweep, at) for at in at_values]
        yield from map(Point, at_values, variants[name].experiments(settings))


def _settings(sweep: SweepFile, at: Mapping[str, Any]) -> dict[str, Any]:
    return {**sweep.set, **{path: value for path, value in at.items() if path != "benchmark"}}


def grid_axes(sweep: SweepFile) -> dict[str, list[Any]]:
    """Axis -> values; strategies and seeds are always among them."""
    return {"strategy": strategies(sweep), "seed": list(seeds(sweep)), **sweep.grid}


def included_points(sweep: SweepFile, axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Points of [[include]].

    One that names no strategy or no seed stands for all of them. What else it leaves out is as in
    the benchmark.
    """
    included = []
    for table in sweep.include:
        values = {axis: list(axes[axis]) for axis in ("strategy", "seed")}
        values |= {path: as_values(path, value) for path, value in table.items()}
        for point in itertools.product(*values.values()):
            included.append(dict(zip(values, point, strict=True)))
    return included


def excluded_patterns(sweep: SweepFile) -> list[dict[str, list[Any]]]:
    """The tables of [[exclude]]: axis -> values that are left out together."""
    return [
        {path: as_values(path, value) for path, value in pattern.items()}
        for pattern in sweep.exclude
    ]


def matches(at: Mapping[str, Any], pattern: Mapping[str, Sequence[Any]]) -> bool:
    """Whether a point is one of those that a pattern of [[exclude]] leaves out."""
    return all(path in at and at[path] in values for path, values in pattern.items())


def as_values(path: str, value: Any) -> list[Any]:
    """The values that a value in [[include]] or [[exclude]] stands for.

    A list stands for several; for a setting that is a list itself, such as `levels`, only a list of
    lists does.
    """
    if not isinstance(value, list):
        return [value]
    takes_lists = path != "benchmark" and list in check_path(path).types
    one_list = takes_lists and not all(isinstance(item, list) for item in value)
    return [value] if one_list else value


def axes_that_differ(points: Iterable[Point]) -> list[str]:
    """Axes with more than one value among the points, seeds left out."""
    values: dict[str, set[str]] = {}
    for point in points:
        for axis, value in point.at.items():
            values.setdefault(axis, set()).add(canonical_json(value))
    return [
        axis
        for axis, taken in values.items()
        if axis != "seed" and (len(taken) > 1 or axis == "strategy")
    ]
