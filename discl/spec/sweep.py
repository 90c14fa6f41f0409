"""Sweep files: how a benchmark is varied. TOML in, points of a grid or the space of a study out; nothing is run here."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from discl.spec import benchmark
from discl.spec.benchmark import Experiment, Family, Positive
from discl.spec.errors import UserError, unknown
from discl.spec.identity import canonical_json
from discl.spec.paths import check_path

CHOICES = ("benchmark", "strategy", "seed")  # axes that choose an experiment and set nothing; the first goes slowest
COSTS = {"cost/denoising_steps": "what the images of the run take to make", "cost/images": "how many images of the bank the run asks for"}
HELD_OUT = ("test/", "id_test/", "ood/")
Seed = Annotated[int, Field(ge=0)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Dimension(_Table):
    """Values a dotted path may take while it is tuned."""

    type: Literal["float", "int", "categorical"]
    low: float | None = None
    high: float | None = None
    log: bool = False
    step: float | None = None
    choices: list[Any] = []
    first: Any = None  # of the first trial, where the benchmark's own value is a word that stands for a number
    only: list[str] = []  # strategies it is tuned for; [] = all, or the one that the path names
    without: list[str] = []  # strategies it is not tuned for

    def applies(self, path: str, strategy: str) -> bool:
        owner = path.split(".")[1] if path.startswith("strategy.") else strategy
        return owner == strategy and strategy not in self.without and (not self.only or strategy in self.only)

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
        if isinstance(value, bool) or not isinstance(value, int if self.type == "int" else int | float):
            return False
        low, high = self.ends()
        steps = (value - low) / self.step if self.step else 0.0
        return bool(low <= value <= high) and abs(steps - round(steps)) < 1e-9


class Rung(_Table):
    """A step of the ladder: the same space at another price. The best of one rung are the first trials of the next."""

    scale: str | None = None
    set: dict[str, Any] = {}
    trials: Positive


class TuneTable(_Table):
    """How the space is searched: one study for each strategy, all with the same budget."""

    trials: Positive  # of each strategy
    objective: list[str] = []  # val/ metrics, and costs for a Pareto study; [] = what the benchmark chooses epochs by
    seeds: list[Seed] = Field(default=[0, 1, 2], min_length=1)  # replicates of a trial, one run each
    also: list[str] = []  # further benchmarks a trial is judged on, each with every seed
    sampler: Literal["auto", "gp", "tpe", "random"] = "auto"  # auto: gp up to 60 trials of one objective, tpe beyond
    startup: Positive = 8  # trials before the sampler learns; the first is the benchmark's own setting
    round: Positive = 4  # trials proposed at a time: as many can run side by side, whoever runs them
    seed: Seed = 0  # of the sampler
    pruner: Literal["wilcoxon", "none"] = "wilcoxon"  # over replicates
    p: Annotated[float, Field(gt=0, lt=1)] = 0.1  # below it a trial is given up
    prune_after: Annotated[int, Field(ge=2)] = 2  # replicates every trial gets
    patience: Annotated[int, Field(ge=0)] = 0  # looks at val without progress before an epoch below the median ends a run; 0 = never
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
    return Path(__file__).resolve().parents[2] / "sweeps"


def folders() -> list[Path]:
    """Where sweeps are looked for: `sweeps/` here, if there is one, then ours. The first that has a file's name counts."""
    here = Path("sweeps").absolute()
    return [*([here] if here.is_dir() and here.resolve() != folder() else []), folder()]


def available() -> dict[str, Path]:
    """The sweep files there are, by name."""
    return {path.stem: path for place in reversed(folders()) for path in sorted(place.glob("*.toml"))}


def load(name: str, over: str | None = None, scale: str | None = None, settings: Sequence[str] = ()) -> SweepFile:
    """The sweep NAME for the benchmark it names or for `over`; [on.<benchmark>] goes on top, `settings` on top of all."""
    known = available()
    if name not in known:
        raise unknown("sweep", name, known)
    tree = _read(known[name])
    special = tree.pop("on", {})
    chosen = over or tree.get("benchmark", "")
    if chosen not in benchmark.available():
        raise unknown("benchmark", chosen, benchmark.available())
    for table in (special.get(chosen, {}), {"benchmark": chosen}, {"scale": scale} if scale else {}):
        tree = {**tree, **{key: {**tree.get(key, {}), **value} if isinstance(value, dict) else value for key, value in table.items()}}
    tree["set"] = {**tree.get("set", {}), **_paths(settings)}
    try:
        found = SweepFile(**{**tree, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{known[name]}: {'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}") from error
    return _checked(found)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


def _paths(settings: Sequence[str]) -> dict[str, Any]:
    """`a.b=value` settings, the value read as `--set` reads it."""
    pairs = [setting.partition("=") for setting in settings]
    return {path.strip(): benchmark.parameters([f"value{equals}{text}"])["value"] for path, equals, text in pairs}


def _checked(found: SweepFile) -> SweepFile:
    kinds = [kind for kind in ("grid", "space", "order") if getattr(found, kind)] or ["grid"]
    if len(kinds) > 1:
        raise UserError(
            f"{found.name}.toml has [{kinds[0]}] and [{kinds[1]}]; a sweep is one of grid, space and order, so make two files of it"
        )
    for path in (*found.set, *found.grid, *found.space):
        if path != "benchmark":
            _said_of(found, partial(check_path, path))
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
            raise UserError(f"{found.name}.toml: the grid is empty, for {path!r} has no value; give it some or take it out")
        if len({canonical_json(value) for value in values}) < len(values):
            raise UserError(f"{found.name}.toml: grid {path!r} = {values} repeats itself; name each value once")
    for choice in CHOICES:
        if choice in found.set or (choice == "benchmark" and choice in found.grid and found.benchmark not in found.grid[choice]):
            raise UserError(f"{found.name}.toml: {choice!r} is an axis; say it under [grid], or on the command line as --{choice}")


def _check_patterns(found: SweepFile) -> None:
    axes = _axes(found)
    for pattern in found.exclude:
        for path, value in pattern.items():
            if path not in axes:
                raise unknown(f"axis in [[exclude]] of {found.name}.toml", path, axes)
            for one in _several(value):
                if one not in axes[path]:
                    raise UserError(f"{found.name}.toml: [[exclude]] names {path} = {one!r}, which the grid does not have: {axes[path]}")
    for point in _included(found, axes):
        if any(_matches(point, pattern) for pattern in found.exclude):
            raise UserError(f"{found.name}.toml: {_said(point)} is included and excluded; take it out of one of the two")


def _check_dimensions(found: SweepFile) -> None:
    for path, dimension in found.space.items():
        if path in CHOICES or path in found.set:
            why = "chosen, not tuned" if path in CHOICES else f"set to {found.set[path]!r} already"
            raise UserError(f"{found.name}.toml: {path!r} cannot be tuned, for it is {why}")
        _check_dimension(f"{found.name}.toml: space {path!r}", dimension)


def _check_dimension(where: str, dimension: Dimension) -> None:
    if dimension.type == "categorical":
        if len({canonical_json(choice) for choice in dimension.choices}) < 2 or dimension.low is not None or dimension.high is not None:
            raise UserError(f"{where} is categorical: it takes two or more different choices and no bounds, not {dimension.choices}")
        return
    if dimension.first is not None and not dimension.holds(dimension.first):
        raise UserError(f"{where}: first = {dimension.first!r} does not lie in it")
    low, high = dimension.low, dimension.high
    if low is None or high is None or dimension.choices:
        raise UserError(f"{where} needs low and high, and no choices")
    if not low < high:
        raise UserError(f"{where}: low = {low:g} is not below high = {high:g}; nothing lies between")
    if dimension.log and (low <= 0 or dimension.step):
        raise UserError(f"{where} is logarithmic: low must be above 0 (it is {low:g}) and there can be no step")
    if dimension.type == "int" and any(bound != int(bound) for bound in (low, high, dimension.step or 1)):
        raise UserError(f"{where} is whole: low, high and step must be so, not {low:g}, {high:g}, {dimension.step}")


def _check_tuning(found: SweepFile) -> None:
    if found.tune is None:
        raise UserError(f"{found.name}.toml has a [space] and no [tune]; add one with trials = 30, say")
    for metric in found.tune.objective:
        if not metric.startswith("val/") and metric not in COSTS:
            reason = (
                "is read once, at the end, and choosing by it would spend it" if metric.startswith(("test/", "ood/", "id_test/")) else "is none"
            )
            raise UserError(f"{found.name}.toml: objective {metric!r} {reason}; tune on a val/ metric, or with {', '.join(COSTS)} beside one")
    if len(found.tune.objective) > 2 or (found.tune.objective and not found.tune.objective[0].startswith("val/")):
        raise UserError(f"{found.name}.toml: objective = {found.tune.objective}: give one val/ metric, or that and one more")
    if len(found.tune.objective) > 1 and (found.tune.ladder or found.tune.patience):
        raise UserError(f"{found.name}.toml: a study with two objectives has no best trial, so no ladder and no patience; take them out")
    for name in found.tune.also:
        if name not in benchmark.available():
            raise unknown("benchmark in tune.also", name, benchmark.available())


def _check_ends(found: SweepFile) -> None:
    """Every value a dimension may take loads, judged by its ends."""
    for strategy in strategies(found):
        for path, dimension in space_of(found, strategy).items():
            for value in dimension.ends():
                try:
                    list(points(found, [{path: value, "strategy": strategy, "seed": 0}]))
                except UserError as error:
                    raise UserError(f"{found.name}.toml: space {path!r} reaches {value!r}, which does not load: {error}") from error


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
    _check_ends(found)


_CHECKS = {"grid": _check_grid, "space": _check_space, "order": _check_no_patterns}

# ---------------------------------------------------------------- expanding


def strategies(found: SweepFile) -> list[str]:
    return found.strategies or list(benchmark.load(found.benchmark, found.scale).strategies)


def seeds(found: SweepFile) -> list[int]:
    return found.seeds or list(benchmark.load(found.benchmark, found.scale).seeds)


def space_of(found: SweepFile, strategy: str) -> dict[str, Dimension]:
    """The dimensions of one strategy's study, in a fixed order."""
    return {path: dimension for path, dimension in sorted(found.space.items()) if dimension.applies(path, strategy)}


def expand(found: SweepFile) -> list[Point]:
    """The points of a grid. Seeds go slowest, so that a sweep that is stopped has compared everything on the seeds it finished."""
    axes = _axes(found)
    order = sorted(axes, key=lambda axis: axis != "seed")
    product = (dict(zip(order, values, strict=True)) for values in itertools.product(*(axes[axis] for axis in order)))
    wanted = [at for at in product if not any(_matches(at, pattern) for pattern in found.exclude)]
    wanted += _included(found, axes)
    if not wanted:
        raise UserError(f"{found.name}.toml: nothing is left of the grid; exclude less")
    return list(points(found, wanted))


def points(found: SweepFile, places: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    """The experiments at these places, each with its place; a benchmark's file is read once."""
    families: dict[str, Family] = {}
    for name, group in itertools.groupby(places, key=lambda at: str(at.get("benchmark", found.benchmark))):
        chosen = families.setdefault(name, Family(name, found.scale))
        listed = [dict(at) for at in group]
        variations = [{**found.set, **{path: value for path, value in at.items() if path != "benchmark"}} for at in listed]
        yield from map(Point, listed, chosen.experiments(variations))


def _axes(found: SweepFile) -> dict[str, list[Any]]:
    """Axis -> values; strategies and seeds are always among them."""
    return {"strategy": strategies(found), "seed": list(seeds(found)), **found.grid}


def _included(found: SweepFile, axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Points of [[include]]: what one does not say of strategy and seed is all of them, and of anything else the benchmark's own."""
    made = []
    for table in found.include:
        said = {**{axis: list(axes[axis]) for axis in ("strategy", "seed")}, **{path: _several(value) for path, value in table.items()}}
        made += [dict(zip(said, values, strict=True)) for values in itertools.product(*said.values())]
    return made


def _matches(at: Mapping[str, Any], pattern: Mapping[str, Any]) -> bool:
    return all(path in at and at[path] in _several(value) for path, value in pattern.items())


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _said(at: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} = {value!r}" for path, value in at.items())


def axes_that_differ(points: Iterable[Point]) -> list[str]:
    """Axes with more than one value among the points, seeds left out."""
    seen: dict[str, set[str]] = {}
    for point in points:
        for axis, value in point.at.items():
            seen.setdefault(axis, set()).add(canonical_json(value))
    return [axis for axis, values in seen.items() if axis != "seed" and (len(values) > 1 or axis == "strategy")]
