"""Configurations and splits that the card of a Hub dataset, its README.md, gives its files."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.plain_files import plain_text
from discl.parts.datasets.manifest.rows import ReadOptions
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import split_of

_CARD = "README.md"
_LARGEST = 1 << 22  # bytes


def splits_of_card(tree: FileTree, options: ReadOptions) -> dict[str, str | None]:
    """List -> its split, of the configuration that is asked for or the only one; {} = no card.

    Raises UserError where the card has several configurations of lists that are there and none of
    them is asked for.
    """
    known = {
        name: files
        for name, patterns in _configurations(tree.root / _CARD)
        if (files := _matched(tree.lists, patterns))
    }
    if options.configuration in known:
        return known[options.configuration]
    if options.configuration and len(known) < 2:
        return {}  # a folder's name
    if len(known) > 1:
        problem = "set dataset.configuration to one of them"
        if options.configuration:
            problem = f"none is called {options.configuration!r}"
        raise UserError(
            f"{_CARD} of {tree.root} has several configurations ({', '.join(known)}); {problem}"
        )
    return next(iter(known.values()), {})


def _configurations(path: Path) -> Iterator[tuple[str, list[tuple[str | None, str]]]]:
    """(name, (split, pattern of files) of each)."""
    configurations = _front_matter(path).get("configs")
    for given in configurations if isinstance(configurations, list) else ():
        if not isinstance(given, dict):
            continue
        folder = str(given.get("data_dir") or "").strip("./")
        patterns = list(_patterns(given.get("data_files"), None))
        if folder:
            patterns = [(split, f"{folder}/{pattern}") for split, pattern in patterns]
            patterns = patterns or [(None, f"{folder}/*")]
        yield str(given.get("config_name") or "default"), patterns


def _front_matter(path: Path) -> Mapping[str, Any]:
    """What stands between the first two lines of three hyphens."""
    try:
        if path.stat().st_size > _LARGEST:
            return {}
        text = plain_text(path, "utf-8-sig")
    except (OSError, ValueError):
        return {}
    if not text.startswith("---") or "configs:" not in text:
        return {}
    from huggingface_hub.repocard import metadata_load

    try:
        return metadata_load(path) or {}
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{path}: its first lines are no YAML ({str(error).splitlines()[0]}); correct them, or"
            " remove the file"
        ) from error


def _patterns(given: Any, split: str | None) -> Iterator[tuple[str | None, str]]:
    """(split, pattern) of data_files as they may be written: a path, several, or by split."""
    if isinstance(given, str):
        yield split, given.removeprefix("./")
    elif isinstance(given, dict) and "path" in given:
        name = given.get("split")
        yield from _patterns(given["path"], str(name) if name else split)
    elif isinstance(given, dict):
        for name, paths in given.items():
            yield from _patterns(paths, str(name))
    elif isinstance(given, list):
        for each in given:
            yield from _patterns(each, split)


def _matched(
    lists: Iterable[str], patterns: Iterable[tuple[str | None, str]]
) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for split, pattern in patterns:
        plain = pattern.replace("**/", "*")
        for ref in fnmatch.filter(lists, plain):
            found.setdefault(ref, None if split is None else split_of(split) or split)
    return found
