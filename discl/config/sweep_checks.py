"""Checks of a sweep that its types cannot make, before anything is run."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

from discl.config import load as benchmarks
from discl.config.benchmark import Benchmark
from discl.config.setting_paths import check_path
from discl.config.sweep import CHOICES, COSTS, Dimension, SweepFile
from discl.config.sweep_expand import (
    as_values,
    excluded_patterns,
    grid_axes,
    included_points,
    matches,
    points,
    rungs,
    space_of,
    strategies,
    unnamed_points,
)
from discl.core.conventions import base_name
from discl.core.errors import UserError, unknown
from discl.core.hashing import canonical_json
from discl.core.registry import names


def check_sweep(sweep: SweepFile, seeds_given: bool) -> None:
    """Raises UserError where a sweep cannot run; `seeds_given`: on the command line."""
    kinds = [kind for kind in ("grid", "space", "order") if getattr(sweep, kind)] or ["grid"]
    if len(kinds) > 1:
        raise UserError(
            f"{sweep.name}.toml has [{kinds[0]}] and [{kinds[1]}]; a sweep is one of grid, space"
            " and order, so make two files of it"
        )
    if sweep.tune and kinds != ["space"]:
        raise UserError(
            f"{sweep.name}.toml has [tune] and no [space], so there is nothing to tune; add a"
            " [space], or take [tune] out"
        )
    if sweep.tune and (seeds_given or sweep.seeds):
        raise UserError(
            f"{sweep.name}.toml tunes, and its trials are scored on tune.seeds ="
            f" {sweep.tune.seeds}; set tune.seeds instead of seeds"
        )
    for path in (*sweep.set, *sweep.grid, *sweep.space):
        if path != "benchmark":
            _check_setting(sweep, path)
    _check_choices(sweep)
    _CHECKS[kinds[0]](sweep)


def _check_setting(sweep: SweepFile, path: str) -> None:
    try:
        check_path(path)
    except UserError as error:
        raise UserError(f"{sweep.name}.toml: {error}") from error


def _check_axes(sweep: SweepFile) -> None:
    for path, values in sweep.grid.items():
        if not values:
            raise UserError(
                f"{sweep.name}.toml: the grid is empty, because {path!r} has no value; give it some"
                " or take it out"
            )
        if len({canonical_json(value) for value in values}) < len(values):
            raise UserError(
                f"{sweep.name}.toml: grid {path!r} = {values} repeats itself; name each value once"
            )
        if path in sweep.set:
            raise UserError(
                f"{sweep.name}.toml: {path!r} is an axis of the grid, and set to"
                f" {sweep.set[path]!r}; take one of the two out"
            )
    for axis, key in (("strategy", "strategies"), ("seed", "seeds")):
        if axis in sweep.grid and getattr(sweep, key):
            raise UserError(
                f"{sweep.name}.toml: {axis!r} is an axis of the grid, and {key} ="
                f" {getattr(sweep, key)}; take one of the two out"
            )
    if sweep.benchmark not in sweep.grid.get("benchmark", [sweep.benchmark]):
        raise UserError(
            f"{sweep.name}.toml: 'benchmark' is an axis of the grid, {sweep.grid['benchmark']},"
            f" which leaves {sweep.benchmark!r} out; add it"
        )


def _check_choices(sweep: SweepFile) -> None:
    for choice, option in CHOICES.items():
        if choice in sweep.set:
            raise UserError(
                f"{sweep.name}.toml: {choice!r} cannot be set; put it under [grid], or use"
                f" {option} on the command line"
            )
    lists: dict[str, list[Any]] = {"strategies": sweep.strategies, "seeds": sweep.seeds}
    if sweep.tune:
        lists |= {
            "tune.seeds": sweep.tune.seeds,
            "tune.also, with the benchmark itself,": [sweep.benchmark, *sweep.tune.also],
        }
    for key, listed in lists.items():
        if len({*listed}) < len(listed):
            raise UserError(f"{sweep.name}.toml: {key} = {listed} repeats itself; name each once")
    for name in sweep.strategies:
        if name not in names("strategies"):
            raise unknown(f"strategy in {sweep.name}.toml", name, names("strategies"))


def _check_patterns(sweep: SweepFile) -> None:
    axes = grid_axes(sweep)
    patterns = excluded_patterns(sweep)
    for pattern in sweep.exclude:
        for path, value in pattern.items():
            if path not in axes:
                raise unknown(f"axis in [[exclude]] of {sweep.name}.toml", path, axes)
            for excluded in as_values(path, value):
                if excluded not in axes[path]:
                    raise UserError(
                        f"{sweep.name}.toml: [[exclude]] names {path} = {excluded!r}, which the"
                        f" grid does not have: {axes[path]}"
                    )
    for table in sweep.include:
        for path in table:
            if path != "benchmark":
                _check_setting(sweep, path)
    for point in included_points(sweep, axes):
        if any(matches(point, pattern) for pattern in patterns):
            values = ", ".join(f"{path} = {value!r}" for path, value in point.items())
            raise UserError(
                f"{sweep.name}.toml: {values} is included and excluded; take it out of one of"
                " the two"
            )


def _check_dimensions(sweep: SweepFile) -> None:
    for path, dimension in sweep.space.items():
        if path in CHOICES or path in sweep.set:
            why = "chosen, not tuned" if path in CHOICES else f"set to {sweep.set[path]!r} already"
            raise UserError(f"{sweep.name}.toml: {path!r} cannot be tuned, because it is {why}")
        for name in (*dimension.only, *dimension.without):
            if name not in names("strategies"):
                raise unknown(
                    f"strategy at space {path!r} of {sweep.name}.toml", name, names("strategies")
                )
        _check_dimension(f"{sweep.name}.toml: space {path!r}", dimension)


def _check_dimension(where: str, dimension: Dimension) -> None:
    (_check_listed if dimension.type == "categorical" else _check_bounds)(where, dimension)
    if dimension.first is not None and not dimension.holds(dimension.first):
        raise UserError(f"{where}: first = {dimension.first!r} does not lie in it")


def _check_listed(where: str, dimension: Dimension) -> None:
    choices = dimension.choices
    # Optuna does not distinguish 1, 1.0 and true
    alike = any(left == right for left, right in itertools.combinations(choices, 2))
    numeric = (dimension.low, dimension.high, dimension.step)
    if len(choices) < 2 or alike or dimension.log or any(bound is not None for bound in numeric):
        raise UserError(
            f"{where} is categorical: it takes two or more different choices, and no bounds, step"
            f" or log; not {choices}"
        )


def _check_bounds(where: str, dimension: Dimension) -> None:
    low, high, step = dimension.low, dimension.high, dimension.step
    if low is None or high is None or dimension.choices:
        raise UserError(f"{where} needs low and high, and no choices")
    if not low < high:
        raise UserError(
            f"{where}: low = {low:g} is not below high = {high:g}; nothing lies between"
        )
    if dimension.log and (low <= 0 or step is not None):
        raise UserError(
            f"{where} is logarithmic: low must be above 0 (it is {low:g}) and there can be no step"
        )
    if dimension.type == "int" and any(bound != int(bound) for bound in (low, high, step or 1)):
        raise UserError(
            f"{where} is whole: low, high and step must be so, not {low:g}, {high:g}, {step or 1:g}"
        )
    if step is not None and (
        step <= 0 or (Decimal(str(high)) - Decimal(str(low))) % Decimal(str(step))
    ):
        raise UserError(
            f"{where}: steps of {step:g} do not lead from {low:g} to {high:g}; move high to where"
            " one ends"
        )


def _check_tuning(sweep: SweepFile) -> None:
    if sweep.tune is None:
        raise UserError(
            f"{sweep.name}.toml has a [space] and no [tune]; add one with trials = 30, say"
        )
    for metric in sweep.tune.objective:
        if not metric.startswith("val/") and metric not in COSTS:
            reason = (
                "is read once, at the end; choosing by it would bias it"
                if metric.startswith(("test/", "ood/", "id_test/"))
                else "is none"
            )
            raise UserError(
                f"{sweep.name}.toml: objective {metric!r} {reason}; tune on a val/ metric, or with"
                f" {', '.join(COSTS)} beside one"
            )
        name = base_name(metric)
        if metric not in COSTS and name not in names("metrics"):
            raise unknown(
                f"objective in {sweep.name}.toml",
                metric,
                [metric.removesuffix(name) + known for known in names("metrics")],
            )
    first, *rest = sweep.tune.objective or ["val/"]
    if not first.startswith("val/") or len(rest) > 1 or not set(rest) <= set(COSTS):
        raise UserError(
            f"{sweep.name}.toml: objective = {sweep.tune.objective}: give a val/ metric, or that"
            f" and one of {', '.join(COSTS)}"
        )
    if len(sweep.tune.objective) > 1 and (sweep.tune.ladder or sweep.tune.patience):
        raise UserError(
            f"{sweep.name}.toml: a study with two objectives has no best trial, so no ladder and no"
            " patience; take them out"
        )
    for name in sweep.tune.also:
        if name not in benchmarks.available():
            raise unknown(
                f"benchmark in tune.also of {sweep.name}.toml", name, benchmarks.available()
            )


def _check_ends(sweep: SweepFile) -> None:
    """Raises UserError where the benchmark does not load at the ends of a dimension.

    Where these load, the values between them do.
    """
    for strategy in strategies(sweep):
        (base,) = points(sweep, [{"strategy": strategy, "seed": 0}])
        _check_patience(sweep, base.experiment.benchmark.select.metric)
        _check_objective(sweep, base.experiment.benchmark)
        for path, dimension in space_of(sweep, strategy).items():
            for value in dimension.ends():
                try:
                    list(unnamed_points(sweep, [{path: value, "strategy": strategy, "seed": 0}]))
                except UserError as error:
                    raise UserError(
                        f"{sweep.name}.toml: space {path!r} reaches {value!r}, which does not load:"
                        f" {error}"
                    ) from error


def _check_objective(sweep: SweepFile, bench: Benchmark) -> None:
    """Raises UserError where the objective is a metric that the benchmark does not compute."""
    for metric in sweep.tune.objective if sweep.tune else []:
        name = base_name(metric)
        if metric not in COSTS and name not in bench.bound_metrics():
            raise UserError(
                f"{sweep.name}.toml: objective {metric!r} is not computed in {bench.name};"
                f" add metrics.extra = [{name!r}] to the sweep's [set]"
            )


def _check_patience(sweep: SweepFile, metric: str) -> None:
    if sweep.tune and sweep.tune.patience and sweep.tune.objective not in ([], [metric]):
        raise UserError(
            f"{sweep.name}.toml: patience checks {metric!r} after each epoch, and the objective"
            f" is {sweep.tune.objective[0]!r}; set select.metric to the objective, or patience = 0"
        )


def _check_no_patterns(sweep: SweepFile) -> None:
    if sweep.include or sweep.exclude:
        raise UserError(f"{sweep.name}.toml: include and exclude belong to a [grid]")


def _check_grid(sweep: SweepFile) -> None:
    _check_axes(sweep)
    _check_patterns(sweep)


def _check_space(sweep: SweepFile) -> None:
    _check_no_patterns(sweep)
    _check_dimensions(sweep)
    _check_tuning(sweep)
    for rung in rungs(sweep):
        _check_ends(rung)


_CHECKS = {"grid": _check_grid, "space": _check_space, "order": _check_no_patterns}
