"""TOML files and values: read, laid over each other, and written as `--set` takes them."""

from __future__ import annotations

import copy
import functools
import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discl.config import renamed
from discl.core.errors import LONGEST_SHOWN, UserError, shown
from discl.core.hashing import canonical_json, rounded
from discl.core.plain_files import plain_text
from discl.core.text import printable

Tree = dict[str, Any]

MOST_BYTES = 4 << 20  # of a file; ours have a few thousand
DEEPEST = 16  # tables and lists in each other; settings have five
_BARE = re.compile(r"[A-Za-z0-9_-]+")  # a key that needs no quotes
_LARGEST = 2**63 - 1  # whole numbers are stored with 64 bits


def read(path: Path) -> Tree:
    """The tables of a file.

    Raises UserError where it is missing, no file, no TOML, or has a value that no setting takes.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise UserError(f"{path} is no file; put a TOML file there, or take it away")
        if path.exists() and path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path} is larger than {MOST_BYTES >> 20} MiB, so it is no settings")
        tree = copy.deepcopy(_parsed(plain_text(path)))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing; reinstall, or run in a folder that has benchmarks/"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error})") from error
    except RecursionError as error:
        raise UserError(f"{path}: {_TOO_DEEP}") from error
    except ValueError as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error
    try:
        check_plain(tree)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    return tree


@functools.lru_cache(maxsize=16)
def _parsed(text: str) -> Tree:
    """The tables of a text; parsing is most of the time that it takes to load a benchmark."""
    return tomllib.loads(text)


_TOO_DEEP = f"tables and lists lie in each other more than {DEEPEST} deep; no setting takes that"


def check_plain(value: Any, at: str = "", depth: int = 0) -> None:
    """Raises ValueError, a sentence, for what no setting takes, however it is nested.

    That is a number that is not finite or needs more than 64 bits, a date, a time, a zero byte, and
    nesting deeper than `DEEPEST`. `at` is the dotted path of the value.
    """
    if depth > DEEPEST:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, Mapping):
        for key, inner in value.items():
            check_plain(key, at, depth + 1)
            check_plain(inner, f"{at}.{key}" if at else str(key), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            check_plain(inner, at, depth + 1)
    elif fault := _fault(value):
        raise ValueError(f"{printable(at, LONGEST_SHOWN)} = {shown(value)}{fault}")


def _fault(value: Any) -> str:
    """What is wrong with a single value, as the end of a sentence; "" where nothing is."""
    if isinstance(value, str):
        return " holds a zero byte; take it out" if "\0" in value else ""
    if isinstance(value, float):
        finite = math.isfinite(value)
        return "" if finite else ": no setting takes that; give a finite number"
    if not isinstance(value, int):
        kind = type(value).__name__
        return f" is a {kind}, and no setting takes that; write it as a text, in quotes"
    return " needs more than 64 bits; no setting takes that" if abs(value) > _LARGEST else ""


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> Tree:
    """`over` laid over `base`: tables merge key by key, one level deep.

    A table that names another part replaces the table.
    """
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            another_part = value.get("name", below.get("name")) != below.get("name")
            result[key] = value if another_part else {**below, **value}
        else:
            result[key] = value
    return result


def parse_settings(settings: Sequence[str]) -> Tree:
    """`key=value` settings as a table, the way `--set` reads them."""
    tree: Tree = {}
    for setting in settings:
        tree = with_setting(tree, setting)
    return tree


def with_setting(tree: Mapping[str, Any], setting: str) -> Tree:
    """`tree` with `a.b=value`."""
    path, value = parse_setting(setting)
    return with_value(tree, path.split("."), value, f"--set {shown(setting)}")


def parse_setting(setting: str) -> tuple[str, Any]:
    """(path, value) of `a.b=value`, the value read as TOML and otherwise as a word.

    Raises UserError where there is no `=`, and for a path of version 0.1.
    """
    path, equals, text = setting.partition("=")
    path = path.strip()
    if not equals or not path:
        raise UserError(
            f"--set {shown(setting)} is not of the form key=value, e.g. --set train.epochs=20"
        )
    value = _value(setting, text)
    try:
        renamed.check_setting(path, value)
        check_plain({path: value})
    except (UserError, ValueError) as error:
        raise UserError(f"--set {shown(setting)}: {error}") from error
    return path, value


def _value(setting: str, text: str) -> Any:
    """A value as TOML has it; as a word where it is none."""
    try:
        tree = tomllib.loads(f"v = {text}")
    except RecursionError as error:
        raise UserError(f"--set {shown(setting)}: {_TOO_DEEP}") from error
    except ValueError:  # no TOML, or a number of thousands of digits
        return text
    return tree["v"] if len(tree) == 1 else text


def with_value(tree: Mapping[str, Any], path: Sequence[str], value: Any, setting: str) -> Tree:
    """`tree` with the value at the path; a float as precise as the identity of what it makes.

    Raises UserError, which names `setting`, where the path leads through a value or too deep.
    """
    if len(path) > DEEPEST:
        raise UserError(f"{setting}: {_TOO_DEEP}")
    head = path[0]
    if len(path) == 1:
        value = rounded(value) if isinstance(value, float) else value
        if head == "name" and tree.get("name") != value:
            return {"name": value}  # another part: the parameters of the old one mean nothing to it
        return {**tree, head: value}
    below = tree.get(head, {})
    if not isinstance(below, dict):
        raise UserError(f"{setting}: {head!r} is a value, not a table")
    return {**tree, head: with_value(below, path[1:], value, setting)}


def lines(table: Mapping[str, Any]) -> list[str]:
    """The lines `key = value` of a table; tables in it stand in braces."""
    return [
        f"{key if _BARE.fullmatch(key) else to_toml(key)} = {to_toml(value)}"
        for key, value in table.items()
        if value is not None
    ]


def to_toml(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, float):
        return repr(rounded(value))  # a point means something: 1.0 of the epochs is all of them
    if isinstance(value, dict):
        items = [
            f"{to_toml(key)} = {to_toml(item)}" for key, item in value.items() if item is not None
        ]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, str):
        # JSON's own escapes are halves of characters beyond the 16-bit ones, which TOML has not
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_toml, value))}]"
    return canonical_json(value)
