"""Presets: settings of a part that belong together, by one name."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from discl.config import toml
from discl.core.errors import UserError, shown, unknown

KEY = "preset"


@cache
def presets() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """By the table that they are for, and by name: {"generator": {"sd15": {...}}}."""
    from importlib.resources import files

    text = (files("discl") / "assets" / "presets.toml").read_text("utf-8")
    return tomllib.loads(text)


def expanded(layer: Mapping[str, Any]) -> toml.Tree:
    """A file's tables, or those that settings make, with the values that a preset stands for.

    What a table sets beside its preset stays. Raises UserError where a preset is not known.
    """
    tree = dict(layer)
    for table in presets():
        own = tree.get(table)
        if isinstance(own, dict) and KEY in own:
            values = _values(table, own[KEY])
            bank = tree.get("bank", {})
            if isinstance(bank, dict):  # both say how large images are
                if bank.get("size"):
                    values.pop("size", None)
                tree["bank"] = {"size": [], **bank}
            tree[table] = values | {key: value for key, value in own.items() if key != KEY}
    return tree


def laid_over(tree: Mapping[str, Any], settings: Mapping[str, Any]) -> toml.Tree:
    """`tree` where `settings`, values at dotted paths, name presets; the others are not laid yet.

    Raises UserError where a preset is not known.
    """
    result = dict(tree)
    for table in presets():
        whole = settings.get(table)
        named = settings.get(f"{table}.{KEY}")
        if named is None and isinstance(whole, Mapping):
            named = whole.get(KEY)
        if named is not None:
            stated = settings.get("bank.size")
            bank = {"bank": {"size": stated}} if stated else {}
            result = toml.merged(result, expanded({table: {KEY: named}, **bank}))
            if stated:  # of the layers below
                result[table] = {k: v for k, v in result[table].items() if k != "size"}
    return result


def without_presets(settings: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Values at dotted paths, those left out that name a preset."""
    kept = []
    for path, value in settings:
        if path in presets() and isinstance(value, Mapping) and KEY in value:
            kept += [(f"{path}.{key}", inner) for key, inner in value.items() if key != KEY]
        elif not (path.endswith(f".{KEY}") and path.rpartition(".")[0] in presets()):
            kept.append((path, value))
    return kept


def paths(path: str, value: Any) -> list[list[str]]:
    """The paths, of two keys at most, that a setting decides; of a preset all of its own."""
    table, _, key = path.partition(".")
    named = value.get(KEY) if isinstance(value, Mapping) else None
    if table not in presets() or (key != KEY and named is None):
        return [path.split(".")[:2]]
    values = _values(table, value if key == KEY else named)
    return [["bank", "size"], *([table, each] for each in values)]


def _values(table: str, name: Any) -> dict[str, Any]:
    known = presets()[table]
    if not isinstance(name, str):
        raise UserError(
            f"{table}.{KEY} = {shown(name)} is no name; take one of {', '.join(sorted(known))}"
        )
    if name not in known:
        raise unknown(f"preset ({table}.{KEY})", name, known)
    return dict(known[name])
