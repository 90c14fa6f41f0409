"""Sweep files: TOML in, a checked description out; nothing is run here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from discl.config import load as benchmarks
from discl.config import toml
from discl.config.sweep import Dimension, OrderTable, Rung, SweepFile, TuneTable
from discl.config.sweep_checks import check_sweep
from discl.core import search_path
from discl.core.errors import UserError, shown, unknown


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
    """The sweep NAME for the benchmark it names, or for `over`.

    [on.<benchmark>] goes on top of the file, and the arguments on top of that. Raises UserError
    where something is wrong.
    """
    if name not in available():
        raise unknown("sweep", name, available())
    path = available()[name]
    tree = toml.read(path)
    chosen = _benchmark(tree, over, path)
    tree = _merged(
        {key: value for key, value in tree.items() if key != "on"},
        _table(_table(tree, "on", path), chosen, path),
        path,
    )
    grid = _table(tree, "grid", path)
    tree["grid"] = grid
    tree["set"] = {**_table(tree, "set", path), **dict(map(toml.parse_setting, settings))}
    tree["benchmark"] = chosen
    if scale:
        tree["scale"] = scale
    if strategies:
        _choose("strategy", "strategies", list(strategies), grid, tree)
    if seeds:
        _choose("seed", "seeds", list(seeds), grid, tree)
    sweep = _parsed({**tree, "name": name}, path)
    check_sweep(sweep, seeds_given=bool(seeds))
    return sweep


def _choose(
    axis: str, key: str, values: list[Any], grid: dict[str, Any], tree: dict[str, Any]
) -> None:
    """Set strategies or seeds: where the grid has them as an axis, there."""
    if axis in grid:
        grid[axis] = values
    else:
        tree[key] = values


def _benchmark(tree: Mapping[str, Any], over: str | None, path: Path) -> str:
    """The name of the benchmark that is varied."""
    for name in _table(tree, "on", path):
        if name not in benchmarks.available():
            raise unknown(
                f"benchmark, named in [on.{name}] of {path},", name, benchmarks.available()
            )
    chosen = over or str(tree.get("benchmark", ""))
    if chosen in benchmarks.available():
        return chosen
    if over:
        raise unknown("benchmark", over, benchmarks.available())
    if chosen:
        raise unknown(f"benchmark, named in {path},", chosen, benchmarks.available())
    raise UserError(f'{path} names no benchmark; add benchmark = "cifar10_lt", or use --benchmark')


def _table(tree: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    table = tree.get(key, {})
    if not isinstance(table, dict):
        raise UserError(f"{path}: {key} = {table!r} is a value; it must be a table, [{key}]")
    return dict(table)


def _merged(tree: Mapping[str, Any], over: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Tables merge key by key, one level deep."""
    merged = dict(tree)
    for key, value in over.items():
        merged[key] = {**_table(tree, key, path), **value} if isinstance(value, dict) else value
    return merged


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
    """A table by dotted path.

    Paths may be written with or without quotes: to TOML `train.lr` is a table in a table.
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
    """The first of pydantic's complaints as a sentence.

    A misspelt key comes before the one that is missing because of it.
    """
    first = min(error.errors(), key=lambda complaint: complaint["type"] != "extra_forbidden")
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
    return f"{at} = {shown(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"
