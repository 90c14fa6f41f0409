"""Files that name the classes which lists and folders number: classes.txt, labels.json."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json, plain_text
from discl.parts.datasets.manifest.lists.choice import folder_of_list
from discl.parts.datasets.manifest.lists.list_columns import is_number
from discl.parts.datasets.manifest.lists.reading import encoding_of, open_table
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import LABEL_COLUMNS, plain_name

# files that name the classes beside lists that number them
_STEMS = (
    "classes", "class_names", "classnames", "names", "class_list", "label_names", "labels",
    "categories", "label_map", "class_labels", "labelmap", "class_to_name", "classes_names",
)  # fmt: skip
# words of files that pair numbers and names of classes
_NAMING = frozenset(
    ["class", "classes", "category", "categories", "cat", "label", "labels", "name", "names", "map"]
)
_MOST = 1 << 22  # bytes; what is larger is no list of classes


class NamedNumbers(NamedTuple):
    """Names of classes that a list numbers."""

    names: Mapping[str, str]  # number as `plain_number` writes it -> name
    source: str  # for people, such as "classes.txt"


def plain_number(cell: str) -> str:
    """`3` for `3.0`, ` 3` and `03`."""
    return str(int(cell.strip().removesuffix(".0")))


def class_list(
    tree: FileTree, numbers: Iterable[str], column: str, lists: Sequence[str]
) -> NamedNumbers | None:
    """The names that a file gives to all `numbers` of a column of `lists`; None = no file does.

    It lies in the folder of the first list or at the root, and is none of the lists.

    A file has a name on each line, in the order of the numbers from 0 or from 1; or a number and a
    name; or, as CSV, a column of each.
    """
    asked = {plain_number(number) for number in numbers} - {"-1"}
    folder = folder_of_list(lists[0])
    stems = {ref: _stem_in(ref, (folder, "")) for ref in tree.lists}
    found = [ref for stem in _STEMS for ref in stems if stems[ref] == stem]
    found += [ref for ref in stems if ref not in found and _NAMING & set(stems[ref].split("_"))]
    for ref in found:
        try:
            names = _names_in(tree, ref, asked, column) if ref not in lists else None
        except UserError:  # it is damaged, or no text
            continue
        if names is not None and asked <= names.keys():
            return NamedNumbers(names, ref)
    return None


def _stem_in(ref: str, places: Sequence[str]) -> str:
    """The plain name of a file that may name classes; "" for one of another kind or elsewhere."""
    folder, _, name = ref.rpartition("/")
    if folder not in places or not name.lower().endswith((".txt", ".csv", ".tsv", ".json")):
        return ""
    return plain_name(name.rpartition(".")[0])


def _names_in(tree: FileTree, ref: str, asked: set[str], column: str) -> dict[str, str] | None:
    path = tree.root / path_of(ref)
    if path.stat().st_size > _MOST:
        return None
    if ref.lower().endswith(".json"):
        return _from_json(path, _stem_in(ref, [ref.rpartition("/")[0]]) in _STEMS)
    if not ref.lower().endswith(".txt"):
        return _from_table(tree, ref, asked, column)
    encoding, _ = encoding_of(path, ref)
    lines = [line.strip() for line in plain_text(path, encoding).splitlines() if line.strip()]
    first = [line.replace("\t", " ").replace(",", " ").partition(" ") for line in lines]
    if lines and all(is_number(number) and rest.strip() for number, _, rest in first):
        return _paired((number, rest.strip(" :\t")) for number, _, rest in first)
    last = [line.replace("\t", " ").replace(",", " ").rpartition(" ") for line in lines]
    if lines and all(is_number(number) and rest.strip() for rest, _, number in last):
        return _paired((number, rest.strip(" :\t")) for rest, _, number in last)
    if _stem_in(ref, [ref.rpartition("/")[0]]) not in _STEMS:
        return None  # something else may be listed
    start = 1 if str(len(lines)) in asked else 0
    return {str(number): line for number, line in enumerate(lines, start)}


def _from_json(path: Path, names_alone: bool) -> dict[str, str] | None:
    """From {"0": "cat"}, {"cat": 0}, {"0": ["n02121808", "cat"]}, or a list of names."""
    try:
        content = parsed_json(plain_text(path, "utf-8-sig"))
    except ValueError:
        return None
    if isinstance(content, list) and names_alone and all(isinstance(one, str) for one in content):
        return {str(number): name for number, name in enumerate(content)}
    if not isinstance(content, dict):
        return None
    found = {}
    for key, value in content.items():
        name = value[-1] if isinstance(value, list) and value else value
        if is_number(key) and isinstance(name, str):
            found[plain_number(key)] = name.strip()
        elif isinstance(name, int) and not is_number(key):
            found[str(name)] = key.strip()
        else:
            return None
    return found


def _from_table(tree: FileTree, ref: str, asked: set[str], column: str) -> dict[str, str] | None:
    """From a column of numbers, that of the name `column` or the first with all, and of words."""
    table = open_table(tree.root / path_of(ref), ref, lambda first: True)
    cells = table.sample()
    numbers = [
        name for name in table.names if all(cell and is_number(cell) for cell in cells[name])
    ]
    words = [name for name in table.names if name not in numbers and all(cells[name])]
    usual = (*LABEL_COLUMNS, "name")
    words.sort(key=lambda name: usual.index(plain_name(name)) if plain_name(name) in usual else 99)
    numbers.sort(key=lambda name: plain_name(name) != plain_name(column))
    for name in numbers if words else ():
        pairs = zip(cells[name], cells[words[0]], strict=True)
        found = _paired((number or "", word or "") for number, word in pairs)
        if found is not None and asked <= found.keys():
            return found
    return None


def _paired(pairs: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    """Number -> name; None where a number has two."""
    found: dict[str, str] = {}
    for number, name in pairs:
        name = re.sub(r"^/[a-z]/", "", name.strip())  # of Places
        if found.setdefault(plain_number(number), name) != name:
            return None
    return found
