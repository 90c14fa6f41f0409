"""Files of Hugging Face `datasets` in a folder: which are tables, of which split and set."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from discl.core.errors import UserError
from discl.parts.datasets.manifest.lists.choice import given_lists, split_of_list
from discl.parts.datasets.manifest.rows import Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree, path_of

_SHARD = re.compile(r"-\d{4,}(-of-\d{4,})?(-[0-9a-f]+)?$")
_SAVED_SPLITS = "dataset_dict.json"  # names the folders beside it, a split each
_DEEPEST = 6  # folders, as in the cache of `datasets`
_UNUSED = re.compile(r"(^|/)(cache-[^/]*|tmp[^/]*|[^/]*dataset_info[^/]*)$")


def table_refs(tree: FileTree, options: ReadOptions) -> list[str]:
    """Parquet and Arrow files, without those that `datasets` makes on its way."""
    if options.table:
        if not options.table.lower().endswith((".parquet", ".arrow")):
            return []
        return [ref for ref in given_lists(tree, options.table) if not ref.startswith("/")]
    return [
        ref
        for ref in tree.lists
        if ref.lower().endswith((".parquet", ".arrow"))
        and ref.count("/") <= _DEEPEST
        and not _UNUSED.search(ref.rpartition(".")[0])
    ]


def first_of_each(refs: Sequence[str]) -> Iterator[str]:
    """One file of each set of shards."""
    seen = set[str]()
    for ref in refs:
        stem = re.sub(r"\d+", "", ref)
        if stem not in seen:
            seen.add(stem)
            yield ref


def split_of_table(tree: FileTree, ref: str) -> str | None:
    """By the file's name (`train-00000-of-00001`, `beans-test.arrow`), else by its folder's."""
    folder, _, name = ref.rpartition("/")
    stem, _, ending = name.rpartition(".")
    plain = _SHARD.sub("", stem)
    found = split_of_list(f"{folder}/{plain}.{ending}".lstrip("/"))
    if found:
        return found
    above, _, inner = folder.rpartition("/")
    if (tree.root / path_of(above) / _SAVED_SPLITS).is_file():
        return inner
    return plain if plain not in (stem, "data", "part") else None


def of_one_configuration(
    refs: Sequence[str], asked: str, root: Path
) -> tuple[list[str], list[Decision]]:
    """(tables of the configuration that is asked for or the only one, what was decided).

    Raises UserError where there are several and none is named.
    """
    by_name: dict[str, list[str]] = {}
    for ref in refs:
        by_name.setdefault(_configuration(ref, root), []).append(ref)
    if asked:
        fits = [name for name in by_name if asked == name or asked in name.split("/")]
        if len(fits) != 1:
            raise UserError(
                f"dataset.configuration = {asked!r}: {root} has"
                f" {', '.join(filter(None, by_name)) or 'only one, without a name'}"
            )
        return by_name[fits[0]], [Decision("configuration", fits[0], "dataset.configuration")]
    if len(by_name) > 1:
        names = ", ".join(name or "the files at the top" for name in by_name)
        raise UserError(
            f"{root} has several configurations ({names}); set dataset.configuration to one of them"
        )
    return list(refs), []


def _configuration(ref: str, root: Path) -> str:
    """The folders of a table, without those that name a split."""
    parts = ref.split("/")[:-1]
    if parts and (root / path_of("/".join(parts[:-1])) / _SAVED_SPLITS).is_file():
        parts = parts[:-1]
    kept = [part for part in parts if part != "data" and not split_of_list(f"{part}/x.parquet")]
    return "/".join(kept)
