"""What cells of a class say: several in one, numbers with names beside them or in classes.txt."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.text import listed
from discl.parts.datasets.manifest.columns import coded
from discl.parts.datasets.manifest.lists.choice import folder_of_list
from discl.parts.datasets.manifest.lists.list_columns import is_number
from discl.parts.datasets.manifest.lists.reading import encoding_of, open_table
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import LABEL_COLUMNS, is_missing, plain_name

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATORS = "|;,+/&"
# files that name the classes beside lists that number them
_STEMS = (
    "classes", "class_names", "classnames", "names", "class_list", "label_names", "labels",
    "categories", "label_map", "class_labels", "labelmap", "class_to_name", "classes_names",
)  # fmt: skip
_MOST = 1 << 22  # bytes; what is larger is no list of classes


class NamedNumbers(NamedTuple):
    """Names of classes that a list numbers."""

    names: Mapping[str, str]  # number as `plain_number` writes it -> name
    source: str  # for people, such as "classes.txt"


def plain_number(cell: str) -> str:
    """`3` for `3.0`, ` 3` and `03`."""
    return str(int(cell.strip().removesuffix(".0")))


def with_single_labels(rows: pa.Table, where: str) -> tuple[pa.Table, list[str]]:
    """(rows with one label each, remarks); a cell with several labels becomes several rows.

    A cell holds several where it is a JSON array, or where `|`, `;` or `,` divides it into labels
    that stand alone in other rows.
    """
    labels = coded(rows["label"])
    known = set(labels.values)
    parts = [_parts(value, known) for value in labels.values]
    divided = [
        value
        for value, found in zip(labels.values, parts, strict=True)
        if len(found) > 1 and value.strip()[0] not in "[("
    ]
    if all(found == [value] for value, found in zip(labels.values, parts, strict=True)):
        return rows, []
    counts = np.array([*map(len, parts), 0])  # code -1 is the last
    counts[counts == 0] = 1
    of_row = counts[labels.codes]
    taken = np.repeat(np.arange(rows.num_rows), of_row)
    place = np.arange(len(taken)) - np.repeat(np.cumsum(of_row) - of_row, of_row)
    exploded = rows.take(taken)
    column = _label_column(parts, labels.codes[taken], place)
    remarks = list[str]()
    if divided:
        remarks.append(f"{where}: cells such as {divided[0]!r} are read as several classes")
    return with_column(exploded, "label", column), remarks


def with_column(rows: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    """The rows with another column of a name, whatever its type."""
    return rows.set_column(rows.schema.get_field_index(name), name, column)


def _label_column(
    parts: Sequence[list[str]], codes: NDArray[np.int64], place: NDArray[np.int64]
) -> pa.ChunkedArray:
    """The label of each row: the part at `place` [n] of the cell with `codes` [n]."""
    import pyarrow as pa

    flat = pa.array([part for found in parts for part in found], pa.string())
    starts = np.cumsum([0, *map(len, parts)])[:-1]
    empty = np.array([not found for found in parts] or [True])
    none = (codes < 0) | empty[codes]
    indices = np.where(none, 0, starts[codes] if len(parts) else 0) + np.where(none, 0, place)
    return pa.chunked_array([flat.take(pa.array(indices, pa.int64(), mask=none))])


def _parts(cell: str, known: set[str]) -> list[str]:
    """The labels in a cell; [] = none is given. What reads as missing stays as it is written."""
    if is_missing(cell):
        return [cell]
    text = cell.strip()
    if text[0] in "[(" and text[-1] in "])":
        items = _array(text)
        if items is not None:
            return list(dict.fromkeys(str(item) for item in items if not is_missing(item)))
    for separator in _SEPARATORS:
        if separator not in cell:
            continue
        found = [part.strip() for part in cell.split(separator)]
        alone = sum(part in known for part in found)
        # a class of its own may have a comma in its name, but hardly a bar
        if all(found) and (alone == len(found) or (separator in "|;" and alone)):
            return list(dict.fromkeys(found))
    return [cell]


def _array(text: str) -> list[object] | None:
    """The items of an array as JSON or Python writes it; None where it is none."""
    for parse in (json.loads, ast.literal_eval):
        try:
            items = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(items, list | tuple):
            return list(items)
    return None


def numbers_in(rows: pa.Table) -> bool:
    """Whether every label that is given is a whole number."""
    values = [value for value in coded(rows["label"]).values if not is_missing(value)]
    return bool(values) and all(map(is_number, values))


def named_beside(
    rows: pa.Table, words: pa.ChunkedArray, columns: tuple[str, str], where: str
) -> tuple[NamedNumbers, list[str]]:
    """(names of the numbers in `label` from the column `words` beside it, remarks).

    Raises UserError, with the rows, where a number has two names.
    """
    numbers, names = coded(rows["label"]), coded(words)
    both = np.flatnonzero((numbers.codes >= 0) & (names.codes >= 0))
    pairs, firsts = np.unique(
        numbers.codes[both] * max(1, len(names.values)) + names.codes[both], return_index=True
    )
    found: dict[str, tuple[str, int]] = {}
    for pair, first in zip(pairs.tolist(), both[firsts].tolist(), strict=True):
        number, name = divmod(pair, len(names.values))
        if is_missing(numbers.values[number]) or is_missing(names.values[name]):
            continue
        key, text = plain_number(numbers.values[number]), names.values[name].strip()
        known, at = found.setdefault(key, (text, first))
        if known.casefold() != text.casefold():
            row = rows["row"]
            raise UserError(
                f"{where} names class {key} of column {columns[0]} {known!r} in row"
                f" {row[at].as_py()} and {text!r} in row {row[first].as_py()} of column"
                f" {columns[1]}; correct it, or set dataset.label_column to one of them"
            )
    remarks = []
    by_name: dict[str, list[str]] = {}
    for key, (text, _) in found.items():
        by_name.setdefault(text, []).append(key)
    for text, keys in by_name.items():
        if len(keys) > 1:
            remarks.append(f"{where}: the numbers {listed(keys)} are one class, {text!r}")
    return NamedNumbers({key: text for key, (text, _) in found.items()}, where), remarks


def named_by_folders(rows: pa.Table) -> NamedNumbers | None:
    """Names of the numbers in `label` from the folders of the photos; None unless each fits one."""
    import pyarrow.compute as pc

    folders = coded(pc.replace_substring_regex(rows["ref"], r"/[^/]*$", ""))
    numbers = coded(rows["label"])
    known = numbers.codes >= 0
    pairs = np.unique(numbers.codes[known] * len(folders.values) + folders.codes[known])
    names: dict[str, str] = {}
    for pair in pairs.tolist():
        number, folder = divmod(pair, len(folders.values))
        if is_missing(numbers.values[number]):
            continue
        name = folders.values[folder].rpartition("/")[2]
        if names.setdefault(plain_number(numbers.values[number]), name) != name:
            return None
    if len(names) < 2 or len(set(names.values())) < len(names):
        return None
    return NamedNumbers(names, "the folders of the photos")


def renamed(
    rows: pa.Table, named: NamedNumbers, place: Callable[[int], str]
) -> tuple[pa.Table, tuple[str, ...]]:
    """(rows with names for numbers, all names in the order of their numbers).

    Raises UserError for a number without a name; `place` says where a row stands.
    """
    labels = coded(rows["label"])
    names: list[str | None] = []
    for code, value in enumerate(labels.values):
        if is_missing(value) or (plain_number(value) == "-1" and "-1" not in named.names):
            names.append(None)  # -1 = no label, as test splits have it
            continue
        name = named.names.get(plain_number(value))
        if name is None:
            row = int(np.argmax(labels.codes == code))
            raise UserError(
                f"{place(row)} has class {value}, which {named.source} does not name (it has"
                f" {len(named.names)}); complete {named.source}"
            )
        names.append(name)
    ordered = sorted(named.names, key=int)
    column = labels.column(names)
    return with_column(rows, "label", column), tuple(
        dict.fromkeys(named.names[number] for number in ordered)
    )


# -- files that name classes


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
    found = [ref for stem in _STEMS for ref in _class_files(tree, stem, folder)]
    for ref in found:
        names = _names_in(tree, ref, asked, column) if ref not in lists else None
        if names is not None and asked <= names.keys():
            return NamedNumbers(names, ref)
    return None


def _class_files(tree: FileTree, stem: str, folder: str) -> list[str]:
    places = dict.fromkeys([folder, ""])
    return [
        ref
        for ref in tree.lists
        if ref.rpartition("/")[0] in places
        and plain_name(ref.rpartition("/")[2].rpartition(".")[0]) == stem
        and ref.lower().endswith((".txt", ".csv", ".tsv"))
    ]


def _names_in(tree: FileTree, ref: str, asked: set[str], column: str) -> dict[str, str] | None:
    path = tree.root / path_of(ref)
    if path.stat().st_size > _MOST:
        return None
    if not ref.lower().endswith(".txt"):
        return _from_table(tree, ref, asked, column)
    encoding, _ = encoding_of(path, ref)
    lines = [line.strip() for line in path.read_text(encoding).splitlines() if line.strip()]
    first = [line.replace("\t", " ").replace(",", " ").partition(" ") for line in lines]
    if lines and all(is_number(number) and rest.strip() for number, _, rest in first):
        return _paired((number, rest.strip(" :\t")) for number, _, rest in first)
    last = [line.replace("\t", " ").replace(",", " ").rpartition(" ") for line in lines]
    if lines and all(is_number(number) and rest.strip() for rest, _, number in last):
        return _paired((number, rest.strip(" :\t")) for rest, _, number in last)
    start = 1 if str(len(lines)) in asked else 0
    return {str(number): line for number, line in enumerate(lines, start)}


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
        if found.setdefault(plain_number(number), name.strip()) != name.strip():
            return None
    return found
