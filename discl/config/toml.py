"""TOML files and values: read, laid over each other, and written as `--set` takes them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discl.config import renamed
from discl.core.errors import UserError
from discl.core.hashing import canonical_json, rounded

Tree = dict[str, Any]


def read(path: Path) -> Tree:
    """The tables of a file.

    Raises UserError where it is missing or no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path} is missing; reinstall, or run in a folder that has benchmarks/"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from error


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
    return with_value(tree, path.split("."), value, f"--set {setting!r}")


def parse_setting(setting: str) -> tuple[str, Any]:
    """(path, value) of `a.b=value`, the value read as TOML and otherwise as a word.

    Raises UserError where there is no `=`, and for a path of version 0.1.
    """
    path, equals, text = setting.partition("=")
    path = path.strip()
    if not equals or not path:
        raise UserError(
            f"--set {setting!r} is not of the form key=value, e.g. --set train.epochs=2"
        )
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    try:
        renamed.check_setting(path, value)
    except UserError as error:
        raise UserError(f"--set {setting!r}: {error}") from error
    return path, value


def with_value(tree: Mapping[str, Any], path: Sequence[str], value: Any, setting: str) -> Tree:
    """`tree` with the value at the path; a float as precise as the identity of what it makes.

    Raises UserError, which names `setting`, where the path leads through a value.
    """
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


def to_toml(value: Any) -> str:
    """A value as `--set` reads it."""
    if isinstance(value, float):
        return repr(rounded(value))  # a point means something: 1.0 of the epochs is all of them
    if isinstance(value, dict):
        items = [
            f"{to_toml(key)} = {to_toml(item)}"
            for key, item in value.items()
            if item is not None
        ]
        return f"{{{', '.join(items)}}}"
    if isinstance(value, str):
        # JSON's own escapes are halves of characters beyond the 16-bit ones, which TOML has not
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_toml, value))}]"
    return canonical_json(value)
