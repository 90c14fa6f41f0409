"""Sweep files: how a benchmark is varied.

TOML in, points of a grid or the space of a study out; nothing is run here.
"""

from __future__ import annotations

import itertools
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discl.config import load as benchmark
from discl.config import toml
from discl.config.benchmark import Benchmark, Positive
from discl.config.experiment import Experiment
from discl.config.load import BenchmarkVariants
from discl.config.setting_paths import check_path
from discl.core import search_path
from discl.core.conventions import base_name
from discl.core.errors import UserError, unknown
from discl.core.hashing import canonical, canonical_json, rounded
from discl.core.registry import names

CHOICES = {
    "benchmark": "--benchmark",
    "strategy": "--strategies",
    "seed": "--seeds",
}  # axes that choose an experiment and set nothing
SHARES = {
    "train.curriculum_epochs": "train.epochs"
}  # settings that are tuned as a share of another one, where they are a float
COSTS = {
    "cost/denoising_steps": "what the images of the run take to make",
    "cost/images": "how many images of the bank the run asks for",
}
Seed = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Dimension(_Table):
    """Values a dotted path may take while it is tuned."""

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: list[Any] = []
    # of the first trial, where the benchmark's own value is a word that stands for a number
    first: Any = None
    only: list[str] = []  # strategies it is tuned for; [] = all, or the one that the path names
    without: list[str] = []  # strategies it is not tuned for

    def applies(self, path: str, strategy: str) -> bool:
        owner = path.split(".")[1] if path.startswith("strategy.") else strategy
        return (
            owner == strategy
            and strategy not in self.without
            and (not self.only or strategy in self.only)
        )

    def ends(self) -> list[Any]:
        """Values that stand for all: where these load, the others do."""
        if self.type == "categorical":
            return list(self.choices)
        low, high = float(self.low or 0.0), float(self.high or 0.0)
        return [int(low), int(high)] if self.type == "int" else [low, high]

    def own(self, value: Any) -> Any:
        """What the first trial has, for a benchmark that has `value`."""
        return value if self.first is None or self.holds(value) else self.first

    def holds(self, value: Any) -> bool:
        """Whether a value lies in it, on its steps."""
        if self.type == "categorical":
            return value in self.choices
        if isinstance(value, bool) or not isinstance(
            value, int if self.type == "int" else int | float
        ):
            return False
        low, high = self.ends()
        return bool(low <= value <= high) and (not self.step or _whole((value - low) / self.step))

    @property
    def count(self) -> float:
        """How many values it has; infinity, where it is not made of steps."""
        if self.type == "categorical":
            return len(self.choices)
        low, high = self.ends()
        return round((high - low) / self._apart) + 1 if self._apart else math.inf

    def at(self, place: int) -> Any:
        """One of its values, where they can be counted."""
        if self.type == "categorical":
            return self.choices[place]
        value = self.ends()[0] + place * self._apart
        return rounded(value) if isinstance(value, float) else value  # 0.1 + 3 x 0.2 is to be 0.7

    @property
    def _apart(self) -> float:
        return int(self.step or 1) if self.type == "int" else self.step or 0.0


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9


class Rung(_Table):
    """A step of the ladder: the same space at another price.

    The best of one rung are the first trials of the next.
    """

    scale: str | None = None
    set: dict[str, Any] = {}
    trials: Positive


class TuneTable(_Table):
    """How the space is searched: one study for each strategy, all with the same budget."""

    trials: Positive  # of each strategy
    objective: list[
        str
    ] = []  # val/ metrics, and costs for a Pareto study; [] = what the benchmark chooses epochs by
    seeds: list[Seed] = Field(
        default=[0, 1, 2], min_length=1
    )  # replicates of a trial, one run each
    also: list[str] = []  # further benchmarks a trial is judged on, each with every seed
    sampler: Literal["auto", "gp", "tpe", "random"] = "auto"  # auto: gp up to 60 trials, tpe beyond
    startup: Positive = (
        8  # trials before the sampler learns; the first is the benchmark's own setting
    )
    round: Positive = (
        4  # trials proposed at a time: as many can run side by side, whoever runs them
    )
    seed: Seed = 0  # of the sampler
    pruner: Literal["wilcoxon", "none"] = "wilcoxon"  # over replicates
    p: Annotated[float, Field(gt=0, lt=1)] = (
        0.3  # one-sided, below it a trial is given up; twice worse is 0.25, three times 0.125
    )
    prune_after: Annotated[int, Field(ge=2)] = 2  # replicates every trial gets
    patience: Annotated[int, Field(ge=0)] = (
        0  # looks at val without progress before an epoch below the median ends a run; 0 = never
    )
    keep: Positive = 3  # trials of a rung that open the next one
    ladder: list[Rung] = []  # [] = one rung, as the file stands


class OrderTable(_Table):
    """The order test: every order of the levels, each level equally long."""

    orders: Positive | Literal["all"] = "all"  # how many permutations
    seed: Seed = 0  # draws them where they are not all
    metrics: list[str] = []  # read in the end; [] = all, few and ood of the home test split


class SweepFile(_Table):
    """A sweep as its file says it, for one benchmark."""

    name: str
    title: str = ""
    benchmark: str
    scale: str = "smoke"
    strategies: list[str] = []  # [] = the benchmark's
    seeds: list[Seed] = []  # [] = the benchmark's
    set: dict[str, Any] = {}  # dotted path -> value, for all points
    grid: dict[str, list[Any]] = {}
    include: list[dict[str, Any]] = []  # points beside the grid
    exclude: list[dict[str, Any]] = []  # points of the grid that are left out
    space: dict[str, Dimension] = {}
    tune: TuneTable | None = None
    order: OrderTable | None = None


class Point(NamedTuple):
    """An experiment and where it stands in its grid."""

    at: dict[str, Any]  # axis -> value
    experiment: Experiment


# ---------------------------------------------------------------- reading


def folder() -> Path:
    """The sweeps that come with the project."""
    return search_path.shipped("sweeps")


def folders() -> list[Path]:
    """Where sweeps are looked for: `sweeps/` here, if there is one, then ours.

    The first that has a file's name counts.
    """
    return search_path.folders("sweeps")


def available() -> dict[str, Path]:
    """The sweep files there are, by name."""
    return search_path.files("sweeps")


def load(
    name: str,
    over: str | None = None,
    scale: str | None = None,
    settings: Sequence[str] = (),
    strategies: Sequence[str] = (),
    seeds: Sequence[int] = (),
) -> SweepFile:
    """The sweep NAME for the benchmark it names or for `over`; [on.<benchmark>] goes on top, what
    else is given on top of all.
    """
    known = available()
    if name not in known:
        raise unknown("sweep", name, known)
    tree = _read(known[name])
    special = _table(tree, "on", known[name])
    for place in special:
        if place not in benchmark.available():
            raise unknown(
                f"benchmark, said as [on.{place}] in {known[name]},", place, benchmark.available()
            )
    chosen = over or str(tree.get("benchmark", ""))
    if chosen not in benchmark.available():
        raise (
            unknown("benchmark", chosen, benchmark.available())
            if over
            else _no_benchmark(known[name], chosen)
        )
    tree = _merged(
        {key: value for key, value in tree.items() if key != "on"},
        _table(special, chosen, known[name]),
        known[name],
    )
    grid = _table(tree, "grid", known[name])
    tree |= {
        "grid": grid,
        "set": {**_table(tree, "set", known[name]), **_paths(settings)},
        "benchmark": chosen,
    }
    for axis, key, said in (
        ("strategy", "strategies", list(strategies)),
        ("seed", "seeds", list(seeds)),
    ):
        if said:
            (grid if axis in grid else tree)[axis if axis in grid else key] = said
    return _checked(
        _parsed({**tree, "name": name, **({"scale": scale} if scale else {})}, known[name]),
        bool(seeds),
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = tomllib.loads(path.read_text("utf-8"))
        canonical(tree)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    except (ValueError, TypeError) as error:  # infinity, not a number, a date
        raise UserError(f"{path}: {error}; no setting takes that") from error
    return tree


def _table(tree: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = tree.get(key, {})
    if not isinstance(found, dict):
        raise UserError(f"{path}: {key} = {found!r} is a value; it is to be a table, [{key}]")
    return dict(found)


def _no_benchmark(path: Path, chosen: str) -> UserError:
    if chosen:
        return unknown(f"benchmark, named in {path},", chosen, benchmark.available())
    return UserError(f'{path} names no benchmark; add benchmark = "cifar10_lt", or say --benchmark')


def _merged(tree: Mapping[str, Any], over: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Tables merge key by key, one level deep."""
    return {
        **tree,
        **{
            key: {**_table(tree, key, path), **value} if isinstance(value, dict) else value
            for key, value in over.items()
        },
    }


def _parsed(tree: Mapping[str, Any], path: Path) -> SweepFile:
    dotted = {
        "grid": _dotted(tree["grid"], lambda _: False),
        "space": _dotted(_table(tree, "space", path), _is_dimension),
    }
    try:
        return SweepFile(**{**tree, **dotted})
    except ValidationError as error:
        raise UserError(f"{path}: {_readable(error)}") from error


def _dotted(
    table: Mapping[str, Any], is_leaf: Callable[[dict[str, Any]], bool], above: str = ""
) -> dict[str, Any]:
    """Paths may be written with or without quotes: to TOML `train.lr` is a table in a table, to us
    it is one path.
    """
    flat: dict[str, Any] = {}
    for key, value in table.items():
        inner = isinstance(value, dict) and value and not is_leaf(value)
        flat |= _dotted(value, is_leaf, f"{above}{key}.") if inner else {f"{above}{key}": value}
    return flat


def _is_dimension(table: dict[str, Any]) -> bool:
    return not all(isinstance(value, dict) for value in table.values())


_INSIDE: Mapping[str, type[BaseModel]] = {
    "space": Dimension,
    "tune": TuneTable,
    "order": OrderTable,
    "ladder": Rung,
}


def _readable(error: ValidationError) -> str:
    """The first of pydantic's complaints as a sentence; a key that is misspelt before one that is
    missed for it.
    """
    first = min(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
    at = ".".join(map(str, first["loc"]))
    key = str(first["loc"][-1])
    if first["type"] == "extra_forbidden":
        inside = [_INSIDE[str(step)] for step in first["loc"][:-1] if step in _INSIDE]
        fields = (inside[-1] if inside else SweepFile).model_fields
        return str(
            unknown(
                "key", at, [at.removesuffix(key) + field for field in fields if field != "name"]
            )
        )
    if first["type"] == "missing":
        return f"{at} is missing"
    return f"{at} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _paths(settings: Sequence[str]) -> dict[str, Any]:
    """`a.b=value` settings, the value read as `--set` reads it."""
    return dict(map(toml.parse_setting, settings))


def _checked(found: SweepFile, seeded: bool) -> SweepFile:
    kinds = [kind for kind in ("grid", "space", "order") if getattr(found, kind)] or ["grid"]
    if len(kinds) > 1:
        raise UserError(
            f"{found.name}.toml has [{kinds[0]}] and [{kinds[1]}]; a sweep is one of grid, space"
            " and order, so make two files of it"
        )
    if found.tune and kinds != ["space"]:
        raise UserError(
            f"{found.name}.toml has [tune] and no [space], so there is nothing to tune; add a"
            " [space], or take [tune] out"
        )
    if found.tune and (seeded or found.seeds):
        raise UserError(
            f"{found.name}.toml tunes, and its trials are judged on tune.seeds ="
            f" {found.tune.seeds}; set those, not seeds"
        )
    for path in (*found.set, *found.grid, *found.space):
        if path != "benchmark":
            _said_of(found, partial(check_path, path))
    _check_choices(found)
    _CHECKS[kinds[0]](found)
    return found


def _said_of(found: SweepFile, check: Callable[[], Any]) -> None:
    """What goes wrong is said of the file."""
    try:
        check()
    except UserError as error:
        raise UserError(f"{found.name}.toml: {error}") from error


def _check_axes(found: SweepFile) -> None:
    for path, values in found.grid.items():
        if not values:
            raise UserError(
                f"{found.name}.toml: the grid is empty, for {path!r} has no value; give it some or"
                " take it out"
            )
        if len({canonical_json(value) for value in values}) < len(values):
            raise UserError(
                f"{found.name}.toml: grid {path!r} = {values} repeats itself; name each value once"
            )
        if path in found.set:
            raise UserError(
                f"{found.name}.toml: {path!r} is an axis of the grid, and set to"
                f" {found.set[path]!r}; take one of the two out"
            )
    for axis, key in (("strategy", "strategies"), ("seed", "seeds")):
        if axis in found.grid and getattr(found, key):
            raise UserError(
                f"{found.name}.toml: {axis!r} is an axis of the grid, and {key} ="
                f" {getattr(found, key)}; take one of the two out"
            )
    if found.benchmark not in found.grid.get("benchmark", [found.benchmark]):
        raise UserError(
            f"{found.name}.toml: 'benchmark' is an axis of the grid, {found.grid['benchmark']},"
            f" which leaves {found.benchmark!r} out; add it"
        )


def _check_choices(found: SweepFile) -> None:
    for choice, option in CHOICES.items():
        if choice in found.set:
            raise UserError(
                f"{found.name}.toml: {choice!r} cannot be set; say it under [grid], or on the"
                f" command line as {option}"
            )
    lists: dict[str, list[Any]] = {"strategies": found.strategies, "seeds": found.seeds}
    if found.tune:
        lists |= {
            "tune.seeds": found.tune.seeds,
            "tune.also, with the benchmark itself,": [found.benchmark, *found.tune.also],
        }
    for key, listed in lists.items():
        if len({*listed}) < len(listed):
            raise UserError(f"{found.name}.toml: {key} = {listed} repeats itself; name each once")
    for name in found.strategies:
        if name not in names("strategies"):
            raise unknown(f"strategy in {found.name}.toml", name, names("strategies"))


def _check_patterns(found: SweepFile) -> None:
    axes = _axes(found)
    for pattern in found.exclude:
        for path, value in pattern.items():
            if path not in axes:
                raise unknown(f"axis in [[exclude]] of {found.name}.toml", path, axes)
            for one in _several(path, value):
                if one not in axes[path]:
                    raise UserError(
                        f"{found.name}.toml: [[exclude]] names {path} = {one!r}, which the grid"
                        f" does not have: {axes[path]}"
                    )
    for table in found.include:
        for path in table:
            if path != "benchmark":
                _said_of(found, partial(check_path, path))
    for point in _included(found, axes):
        if any(_matches(point, pattern) for pattern in _excluded(found)):
            raise UserError(
                f"{found.name}.toml: {_said(point)} is included and excluded; take it out of one of"
                " the two"
            )


def _check_dimensions(found: SweepFile) -> None:
    for path, dimension in found.space.items():
        if path in CHOICES or path in found.set:
            why = "chosen, not tuned" if path in CHOICES else f"set to {found.set[path]!r} already"
            raise UserError(f"{found.name}.toml: {path!r} cannot be tuned, for it is {why}")
        for name in (*dimension.only, *dimension.without):
            if name not in names("strategies"):
                raise unknown(
                    f"strategy at space {path!r} of {found.name}.toml", name, names("strategies")
                )
        _check_dimension(f"{found.name}.toml: space {path!r}", dimension)


def _check_dimension(where: str, dimension: Dimension) -> None:
    (_check_listed if dimension.type == "categorical" else _check_bounds)(where, dimension)
    if dimension.first is not None and not dimension.holds(dimension.first):
        raise UserError(f"{where}: first = {dimension.first!r} does not lie in it")


def _check_listed(where: str, dimension: Dimension) -> None:
    choices = dimension.choices
    # Optuna takes 1, 1.0 and true for one
    alike = any(one == other for one, other in itertools.combinations(choices, 2))
    numeric = (dimension.low, dimension.high, dimension.step)
    if len(choices) < 2 or alike or dimension.log or any(each is not None for each in numeric):
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


def _check_tuning(found: SweepFile) -> None:
    if found.tune is None:
        raise UserError(
            f"{found.name}.toml has a [space] and no [tune]; add one with trials = 30, say"
        )
    for metric in found.tune.objective:
        if not metric.startswith("val/") and metric not in COSTS:
            reason = (
                "is read once, at the end, and choosing by it would spend it"
                if metric.startswith(("test/", "ood/", "id_test/"))
                else "is none"
            )
            raise UserError(
                f"{found.name}.toml: objective {metric!r} {reason}; tune on a val/ metric, or with"
                f" {', '.join(COSTS)} beside one"
            )
        name = base_name(metric)
        if metric not in COSTS and name not in names("metrics"):
            raise unknown(
                f"objective in {found.name}.toml",
                metric,
                [metric.removesuffix(name) + known for known in names("metrics")],
            )
    first, *rest = found.tune.objective or ["val/"]
    if not first.startswith("val/") or len(rest) > 1 or not set(rest) <= set(COSTS):
        raise UserError(
            f"{found.name}.toml: objective = {found.tune.objective}: give a val/ metric, or that"
            f" and one of {', '.join(COSTS)}"
        )
    if len(found.tune.objective) > 1 and (found.tune.ladder or found.tune.patience):
        raise UserError(
            f"{found.name}.toml: a study with two objectives has no best trial, so no ladder and no"
            " patience; take them out"
        )
    for name in found.tune.also:
        if name not in benchmark.available():
            raise unknown(
                f"benchmark in tune.also of {found.name}.toml", name, benchmark.available()
            )


def _check_ends(found: SweepFile) -> None:
    """The benchmark as the file sets it loads, and so does every value a dimension may take, judged
    by its ends.
    """
    for strategy in strategies(found):
        (base,) = points(found, [{"strategy": strategy, "seed": 0}])
        _check_patience(found, base.experiment.benchmark.select.metric)
        _check_objective(found, base.experiment.benchmark)
        for path, dimension in space_of(found, strategy).items():
            for value in dimension.ends():
                try:
                    list(_points(found, [{path: value, "strategy": strategy, "seed": 0}]))
                except UserError as error:
                    raise UserError(
                        f"{found.name}.toml: space {path!r} reaches {value!r}, which does not load:"
                        f" {error}"
                    ) from error


def _check_objective(found: SweepFile, bench: benchmark.Benchmark) -> None:
    """What is tuned is computed."""
    for metric in found.tune.objective if found.tune else []:
        name = base_name(metric)
        if metric not in COSTS and name not in bench.bound_metrics():
            raise UserError(
                f"{found.name}.toml: objective {metric!r} is not computed in {bench.name};"
                f" add metrics.extra = [{name!r}] to the sweep's [set]"
            )


def _check_patience(found: SweepFile, metric: str) -> None:
    if found.tune and found.tune.patience and found.tune.objective not in ([], [metric]):
        raise UserError(
            f"{found.name}.toml: patience looks at {metric!r} after each epoch, and the objective"
            f" is {found.tune.objective[0]!r}; set select.metric to the objective, or patience = 0"
        )


def _check_no_patterns(found: SweepFile) -> None:
    if found.include or found.exclude:
        raise UserError(f"{found.name}.toml: include and exclude belong to a [grid]")


def _check_grid(found: SweepFile) -> None:
    _check_axes(found)
    _check_patterns(found)


def _check_space(found: SweepFile) -> None:
    _check_no_patterns(found)
    _check_dimensions(found)
    _check_tuning(found)
    for rung in rungs(found):
        _check_ends(rung)


_CHECKS = {"grid": _check_grid, "space": _check_space, "order": _check_no_patterns}

# ---------------------------------------------------------------- expanding


def strategies(found: SweepFile) -> list[str]:
    return found.strategies or list(benchmark.load(found.benchmark, found.scale).strategies)


def seeds(found: SweepFile) -> list[int]:
    return found.seeds or list(benchmark.load(found.benchmark, found.scale).seeds)


def space_of(found: SweepFile, strategy: str) -> dict[str, Dimension]:
    """The dimensions of one strategy's study, in a fixed order."""
    return {
        path: dimension
        for path, dimension in sorted(found.space.items())
        if dimension.applies(path, strategy)
    }


def rungs(found: SweepFile) -> list[SweepFile]:
    """The sweep as each rung of its ladder has it; without a ladder, as it is."""
    return (
        [_on(found, rung) for rung in found.tune.ladder]
        if found.tune and found.tune.ladder
        else [found]
    )


def _on(found: SweepFile, rung: Rung) -> SweepFile:
    assert found.tune is not None  # noqa: S101 - a rung is of one
    tune = found.tune.model_copy(update={"trials": rung.trials})
    return found.model_copy(
        update={"scale": rung.scale or found.scale, "set": {**found.set, **rung.set}, "tune": tune}
    )


def budget(found: SweepFile, strategy: str) -> int:
    """Trials of one strategy's study: what the file says, or as many settings as there are; equal
    ones would give equal runs.
    """
    assert found.tune is not None  # noqa: S101 - the caller looked
    return int(
        min(
            found.tune.trials,
            math.prod(dimension.count for dimension in space_of(found, strategy).values()),
        )
    )


def own(found: SweepFile, spec: Benchmark, strategy: str) -> dict[str, Any] | None:
    """The benchmark's own setting, where the space of a strategy has it."""
    values = {
        path: dimension.own(_own(spec, path, dimension))
        for path, dimension in space_of(found, strategy).items()
    }
    return values if all(found.space[path].holds(value) for path, value in values.items()) else None


def _own(spec: Benchmark, path: str, dimension: Dimension) -> Any:
    value = check_path(path, spec).default
    if path in SHARES and dimension.type == "float" and isinstance(value, int):
        return rounded(value / check_path(SHARES[path], spec).default)
    return value


def expand(found: SweepFile) -> list[Point]:
    """The points of a grid.

    Seeds go slowest, so that a sweep that is stopped has compared everything on the seeds it
    finished.
    """
    axes = _axes(found)
    order = sorted(axes, key=lambda axis: axis != "seed")
    product = (
        dict(zip(order, values, strict=True))
        for values in itertools.product(*(axes[axis] for axis in order))
    )
    left_out = _excluded(found)
    wanted = [at for at in product if not any(_matches(at, pattern) for pattern in left_out)]
    there = {canonical_json(at) for at in wanted} if found.include else set()
    wanted += [at for at in _included(found, axes) if canonical_json(at) not in there]
    if not wanted:
        raise UserError(f"{found.name}.toml: nothing is left of the grid; exclude less")
    return list(points(found, wanted))


def points(found: SweepFile, places: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    """The experiments at these places, each with its place; a benchmark's file is read once."""
    try:
        yield from _points(found, places)
    except UserError as error:
        raise UserError(f"{found.name}.toml: {error}") from error


def _points(found: SweepFile, places: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    families: dict[str, BenchmarkVariants] = {}
    for name, group in itertools.groupby(
        places, key=lambda at: str(at.get("benchmark", found.benchmark))
    ):
        chosen = families.setdefault(name, BenchmarkVariants(name, found.scale))
        listed = [dict(at) for at in group]
        variations = [
            {**found.set, **{path: value for path, value in at.items() if path != "benchmark"}}
            for at in listed
        ]
        yield from map(Point, listed, chosen.experiments(variations))


def _axes(found: SweepFile) -> dict[str, list[Any]]:
    """Axis -> values; strategies and seeds are always among them."""
    return {"strategy": strategies(found), "seed": list(seeds(found)), **found.grid}


def _included(found: SweepFile, axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Points of [[include]]: what one does not say of strategy and seed is all of them, and of
    anything else the benchmark's own.
    """
    made = []
    for table in found.include:
        said = {
            **{axis: list(axes[axis]) for axis in ("strategy", "seed")},
            **{path: _several(path, value) for path, value in table.items()},
        }
        made += [
            dict(zip(said, values, strict=True)) for values in itertools.product(*said.values())
        ]
    return made


def _excluded(found: SweepFile) -> list[dict[str, list[Any]]]:
    return [
        {path: _several(path, value) for path, value in pattern.items()}
        for pattern in found.exclude
    ]


def _matches(at: Mapping[str, Any], pattern: Mapping[str, Sequence[Any]]) -> bool:
    return all(path in at and at[path] in values for path, values in pattern.items())


def _several(path: str, value: Any) -> list[Any]:
    """A list stands for several values; of a setting that is a list itself, such as `levels`, only
    a list of lists does.
    """
    if not isinstance(value, list):
        return [value]
    is_list = (
        path != "benchmark"
        and list in check_path(path).types
        and not all(isinstance(each, list) for each in value)
    )
    return [value] if is_list else value


def _said(at: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {value!r}" for path, value in at.items())


def axes_that_differ(points: Iterable[Point]) -> list[str]:
    """Axes with more than one value among the points, seeds left out."""
    seen: dict[str, set[str]] = {}
    for point in points:
        for axis, value in point.at.items():
            seen.setdefault(axis, set()).add(canonical_json(value))
    return [
        axis
        for axis, values in seen.items()
        if axis != "seed" and (len(values) > 1 or axis == "strategy")
    ]
