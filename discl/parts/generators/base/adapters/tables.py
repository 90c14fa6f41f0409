"""Tables of a benchmark file that describe an adapter, read into dataclasses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from discl.core.errors import UserError, shown, unknown

T = TypeVar("T")
_WORDS = {str: "a text", float: "a number"}


def read_tables(key: str, given: Any, kind: type[T]) -> tuple[T, ...]:
    """The tables `[[generator.key]]`, or the one table `[generator.key]`; () for none at all.

    Raises UserError as `read_table` does.
    """
    if given is None:
        return ()
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise _no_table(key, given, kind)
    return tuple(read_table(key, table, kind) for table in given)


def read_table(key: str, given: Any, kind: type[T]) -> T:
    """A table as a dataclass of texts and numbers.

    Raises UserError for a key it has not, one that is missing, or a value of another type.
    """
    if not isinstance(given, Mapping):
        raise _no_table(key, given, kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in given:
        if name not in fields:
            raise unknown(f"setting of generator.{key}", str(name), fields)
    values = dict[str, Any]()
    for name, field in fields.items():
        if name in given:
            values[name] = _checked(f"generator.{key}.{name}", given[name], field.type)
        elif field.default is dataclasses.MISSING:
            raise UserError(f"generator.{key} has no {name}; set generator.{key}.{name}")
    return kind(**values)


def _no_table(key: str, given: Any, kind: type[Any]) -> UserError:
    names = [field.name for field in dataclasses.fields(kind)]
    return UserError(
        f"generator.{key} = {shown(given)} is no table; it takes {', '.join(names)}, as in"
        f" [generator.{key}]"
    )


def _checked(name: str, given: Any, annotation: Any) -> Any:
    wanted = float if annotation in ("float", float) else str
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    fits = is_number if wanted is float else isinstance(given, str)
    if not fits:
        raise UserError(f"{name} = {shown(given)}: it takes {_WORDS[wanted]}")
    if wanted is float and not math.isfinite(given):
        raise UserError(f"{name} = {given}: it takes a finite number")
    return wanted(given)
