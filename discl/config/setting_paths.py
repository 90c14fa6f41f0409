"""Dotted paths, such as `train.lr`: whether there is such a setting, and what is known of it before
it is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from discl.config import renamed
from discl.config.benchmark import PART_KINDS, Benchmark
from discl.config.load import CHOICES, UNVARIED
from discl.core.errors import UserError, unknown
from discl.core.registry import names, settings, singular

_KINDS = {singular(kind): kind for kind in PART_KINDS}
_TABLE = (dict,)


class Setting(NamedTuple):
    """What is known of a path.

    A type `float` takes whole numbers too; bounds are those of numbers.
    """

    path: str
    types: tuple[type, ...] = ()  # () = nothing is known
    default: Any = None  # what holds where nothing is set; None = nothing does, or it depends
    choices: tuple[str, ...] = ()  # the words it takes, where they are few
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None


def check_path(path: str, bench: Benchmark | None = None) -> Setting:
    """What is known of a path a sweep may vary; a UserError with the nearest right one where there
    is none.

    `strategy` and `seed` are paths too. The parameters of a part are those of the one `bench` has
    chosen; without it, of any part of the kind. `BenchmarkVariants.benchmark` checks values.
    """
    head, *keys = path.split(".")
    renamed.check_path(path)
    if path in UNVARIED:
        raise UserError(f"{path!r} is no setting of an experiment: {UNVARIED[path]}")
    if head == "strategy":
        return _of_strategy(path, keys, bench)
    if head == "metric" and keys:
        return _of_metric(path, keys, bench)
    if head == "seed":
        return _below(path, keys, (int,)) if keys else Setting(path, (int,), least=0)
    if head in _KINDS and keys:
        return _of_part(path, _KINDS[head], keys, getattr(bench, head, None))
    if head not in Benchmark.model_fields:
        raise unknown("key", head, {*Benchmark.model_fields, *CHOICES}.difference(UNVARIED))
    return _of_field(Benchmark, (), [head, *keys], bench)


def _of_strategy(path: str, keys: list[str], bench: Benchmark | None) -> Setting:
    known = tuple(sorted(names("strategies")))
    if not keys:
        return Setting(path, (str,), choices=known)
    if keys[0] not in known:
        raise unknown("strategy", keys[0], known)
    return _of_parameter(
        path, "strategies", [keys[0]], keys[1:], bench.strategy.get(keys[0], {}) if bench else {}
    )


def _of_metric(path: str, keys: list[str], bench: Benchmark | None) -> Setting:
    if keys[0] not in names("metrics"):
        raise unknown("metric", keys[0], names("metrics"))
    given = bench.metric.get(keys[0], {}) if bench else {}
    return _of_parameter(path, "metrics", [keys[0]], keys[1:], given)


def _of_part(path: str, kind: str, keys: list[str], said: Mapping[str, Any] | None) -> Setting:
    if keys == ["name"]:
        return Setting(path, (str,), said["name"] if said else None, tuple(sorted(names(kind))))
    return _of_parameter(
        path, kind, [said["name"]] if said else sorted(names(kind)), keys, said or {}
    )


def _of_parameter(
    path: str, kind: str, parts: list[str], keys: list[str], said: Mapping[str, Any]
) -> Setting:
    """A parameter of one of `parts`, of which `said` is said; where they differ in it, all that
    they take.
    """
    if not keys:
        return Setting(path, _TABLE, dict(said))
    accepted = [settings(kind, part) for part in parts]
    found = [parameters[keys[0]] for parameters in accepted if keys[0] in parameters]
    if not found:
        which = f"{singular(kind)} {parts[0]!r}" if len(parts) == 1 else f"any {singular(kind)}"
        raise unknown(
            f"parameter of {which}", keys[0], {key for parameters in accepted for key in parameters}
        )
    defaults = [
        None if parameter.default is parameter.empty else parameter.default for parameter in found
    ]
    types = (
        ()
        if None in defaults
        else tuple(
            dict.fromkeys(list if isinstance(each, tuple) else type(each) for each in defaults)
        )
    )
    if keys[1:]:
        return _below(path, keys[1:], types)
    alike = defaults[0] if all(each == defaults[0] for each in defaults) else None
    return Setting(path, types, said.get(keys[0], alike))


def _of_field(
    model: type[BaseModel], above: tuple[str, ...], keys: list[str], said: Any
) -> Setting:
    """A key of a table; `said` is the table, where there is one."""
    at = (*above, keys[0])
    if keys[0] not in model.model_fields:
        raise unknown(
            "key", ".".join(at), [".".join((*above, name)) for name in model.model_fields]
        )
    field = model.model_fields[keys[0]]
    now = getattr(said, keys[0], None if field.is_required() else field.default)
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
        table: type[BaseModel] = field.annotation
        return _of_field(table, at, keys[1:], now) if keys[1:] else Setting(".".join(at), _TABLE)
    setting = _typed(Setting(".".join(at), default=now), field.annotation, field.metadata)
    return _below(".".join((*at, *keys[1:])), keys[1:], setting.types) if keys[1:] else setting


def _below(path: str, keys: list[str], types: tuple[type, ...]) -> Setting:
    """A path into a table that takes any keys."""
    if types and dict not in types:
        table = path.removesuffix("." + ".".join(keys))
        raise UserError(f"{path!r} leads into {table!r}, which is a value, not a table")
    return Setting(path)


def _typed(setting: Setting, annotation: Any, metadata: Iterable[Any]) -> Setting:
    """`setting` with what an annotation says of values."""
    for said in metadata:
        if isinstance(said, BeforeValidator):
            annotation = said.json_schema_input_type
        elif isinstance(said, FieldInfo):
            setting = _typed(setting, None, said.metadata)
        else:
            bounds = {"least": getattr(said, "ge", None), "above": getattr(said, "gt", None)}
            bounds |= {"most": getattr(said, "le", None), "below": getattr(said, "lt", None)}
            setting = setting._replace(
                **{key: value for key, value in bounds.items() if value is not None}
            )
    origin = get_origin(annotation)
    inside = get_args(annotation)
    if origin is Annotated:
        return _typed(setting, inside[0], inside[1:])
    if origin is Literal:
        return setting._replace(types=(*setting.types, str), choices=inside)
    if origin in (Union, UnionType):
        for each in inside:
            setting = _typed(setting, each, ())
        return setting
    return (
        setting
        if annotation in (None, NoneType)
        else setting._replace(types=(*setting.types, origin or annotation))
    )
