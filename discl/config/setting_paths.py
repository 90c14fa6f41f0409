"""Dotted paths, such as `train.lr`: whether there is such a setting, and which values it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from discl.config import renamed
from discl.config.benchmark import LARGEST_SEED, PART_KINDS, Benchmark
from discl.config.load import CHOICES, UNVARIED
from discl.core.errors import UserError, unknown
from discl.core.registry import names, settings, singular

_KINDS = {singular(kind): kind for kind in PART_KINDS}


class Setting(NamedTuple):
    """A setting that a path leads to; a type `float` takes whole numbers too."""

    path: str
    types: tuple[type, ...] = ()  # () = not known
    default: Any = None  # the value without a setting; None = there is none, or it depends
    choices: tuple[str, ...] = ()  # the words it takes, where they are few
    least: float | None = None  # numbers from this one
    above: float | None = None  # numbers above this one
    most: float | None = None  # numbers up to this one
    below: float | None = None  # numbers below this one


def check_path(path: str, bench: Benchmark | None = None) -> Setting:
    """The setting of a path that a sweep may vary.

    `strategy` and `seed` are paths too. Parameters of a part are those of the part that `bench` has
    chosen; without `bench`, of any part of the kind. `BenchmarkVariants.benchmark` checks values.
    Raises UserError, with the nearest right path, where there is no such setting.
    """
    head, *keys = path.split(".")
    renamed.check_path(path)
    if path in UNVARIED:
        raise UserError(f"{path!r} is no setting of an experiment: {UNVARIED[path]}")
    if head == "seed":
        seed = Setting(path, (int,), least=0, most=LARGEST_SEED)
        return _in_open_table(path, keys, (int,)) if keys else seed
    if head == "strategy" and not keys:
        return Setting(path, (str,), choices=tuple(sorted(names("strategies"))))
    if head == "strategy":
        return _of_named_part(path, "strategies", keys, bench.strategy if bench else {})
    if head == "metric" and keys:
        return _of_named_part(path, "metrics", keys, bench.metric if bench else {})
    if head in _KINDS and keys:
        return _of_chosen_part(path, _KINDS[head], keys, getattr(bench, head, None))
    if head not in Benchmark.model_fields:
        raise unknown("key", head, {*Benchmark.model_fields, *CHOICES}.difference(UNVARIED))
    return _of_field(Benchmark, (), [head, *keys], bench)


def _of_named_part(
    path: str, kind: str, keys: list[str], tables: Mapping[str, Mapping[str, Any]]
) -> Setting:
    """A parameter of a part that the path names, such as `strategy.adaptive.burst`."""
    name, *inner = keys
    if name not in names(kind):
        raise unknown(singular(kind), name, names(kind))
    return _of_parameter(path, kind, [name], inner, tables.get(name, {}))


def _of_chosen_part(
    path: str, kind: str, keys: list[str], table: Mapping[str, Any] | None
) -> Setting:
    """A parameter of the part that a benchmark chose by `table`, such as `loss.tau`."""
    if keys == ["name"]:
        default = table["name"] if table else None
        return Setting(path, (str,), default, tuple(sorted(names(kind))))
    candidates = [table["name"]] if table else sorted(names(kind))
    return _of_parameter(path, kind, candidates, keys, table or {})


def _of_parameter(
    path: str, kind: str, parts: list[str], keys: list[str], table: Mapping[str, Any]
) -> Setting:
    """A parameter of one of `parts`, whose values in the benchmark are `table`.

    Where the parts differ in its default, the setting takes all their types.
    """
    if not keys:
        return Setting(path, (dict,), dict(table))
    accepted = [settings(kind, part) for part in parts]
    parameters = [of_part[keys[0]] for of_part in accepted if keys[0] in of_part]
    if not parameters:
        owner = f"{singular(kind)} {parts[0]!r}" if len(parts) == 1 else f"any {singular(kind)}"
        known = {name for of_part in accepted for name in of_part}
        raise unknown(f"parameter of {owner}", keys[0], known)
    defaults = [
        None if parameter.default is parameter.empty else parameter.default
        for parameter in parameters
    ]
    types = () if None in defaults else tuple(dict.fromkeys(map(_type_of, defaults)))
    if keys[1:]:
        return _in_open_table(path, keys[1:], types)
    common = defaults[0] if all(default == defaults[0] for default in defaults) else None
    return Setting(path, types, table.get(keys[0], common))


def _type_of(default: Any) -> type:
    return list if isinstance(default, tuple) else type(default)


def _of_field(
    model: type[BaseModel], above: tuple[str, ...], keys: list[str], table: Any
) -> Setting:
    """A key of a table with fixed keys, whose values in the benchmark are those of `table`."""
    key, *inner = keys
    at = ".".join((*above, key))
    if key not in model.model_fields:
        raise unknown("key", at, [".".join((*above, name)) for name in model.model_fields])
    field = model.model_fields[key]
    value = getattr(table, key, None if field.is_required() else field.default)
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        below: type[BaseModel] = field.annotation
        return _of_field(below, (*above, key), inner, value) if inner else Setting(at, (dict,))
    setting = _typed(Setting(at, default=value), field.annotation, field.metadata)
    return _in_open_table(".".join((at, *inner)), inner, setting.types) if inner else setting


def _in_open_table(path: str, keys: list[str], types: tuple[type, ...]) -> Setting:
    """A path into a table that takes any keys."""
    if types and dict not in types:
        table = path.removesuffix("." + ".".join(keys))
        raise UserError(f"{path!r} leads into {table!r}, which is a value, not a table")
    return Setting(path)


def _typed(setting: Setting, annotation: Any, metadata: Iterable[Any]) -> Setting:
    """`setting` with the types, choices and bounds of an annotation."""
    for item in metadata:
        if isinstance(item, BeforeValidator):
            annotation = item.json_schema_input_type
        elif isinstance(item, FieldInfo):
            setting = _typed(setting, None, item.metadata)
        else:
            setting = setting._replace(**_bounds(item))
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        return _typed(setting, arguments[0], arguments[1:])
    if origin is Literal:
        return setting._replace(types=(*setting.types, str), choices=arguments)
    if origin in (Union, UnionType):
        for argument in arguments:
            setting = _typed(setting, argument, ())
        return setting
    if annotation in (None, NoneType):
        return setting
    return setting._replace(types=(*setting.types, origin or annotation))


def _bounds(constraint: Any) -> dict[str, Any]:
    names = {"least": "ge", "above": "gt", "most": "le", "below": "lt"}
    bounds = {field: getattr(constraint, name, None) for field, name in names.items()}
    return {field: bound for field, bound in bounds.items() if bound is not None}
