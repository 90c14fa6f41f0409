"""Names of numbered classes: from a column beside, folders, photos, or a file of classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from discl.core.errors import UserError
from discl.core.text import listed
from discl.parts.datasets.manifest.columns import coded, replaced
from discl.parts.datasets.manifest.lists.label_cells import with_column
from discl.parts.datasets.manifest.lists.list_columns import is_number
from discl.parts.datasets.manifest.naming.class_files import (
    NamedNumbers,
    class_list,
    plain_number,
)
from discl.parts.datasets.manifest.rows import Contents, Decision
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import is_missing

if TYPE_CHECKING:
    import pyarrow as pa


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


def named_by_photos(rows: pa.Table) -> NamedNumbers | None:
    """Names of the numbers in `label` from those of the photos, `Abyssinian_1.jpg`.

    None unless each number fits one name before the photo's own number.
    """
    import pyarrow.compute as pc

    stems = pc.replace_substring_regex(rows["ref"], r"^.*/|[ _.-]*\d+(\.[^./]*)?$", "")
    words = coded(stems)
    numbers = coded(rows["label"])
    known = numbers.codes >= 0
    pairs = np.unique(numbers.codes[known] * len(words.values) + words.codes[known])
    names: dict[str, str] = {}
    for pair in pairs.tolist():
        number, word = divmod(pair, len(words.values))
        name = words.values[word]
        if is_missing(numbers.values[number]):
            continue
        key = plain_number(numbers.values[number])
        if not name[:3].isalpha() or len(name) < 3 or names.setdefault(key, name) != name:
            return None
    if len(names) < 2 or len(set(names.values())) < len(names):
        return None
    return NamedNumbers(names, "the names of the photos")


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


def named_numbers(tree: FileTree, contents: Contents) -> Contents:
    """Contents whose labels are names, where all are numbers of folders and a file names them."""
    if not numbers_in(contents.rows):
        return contents
    named = class_list(tree, coded(contents.rows["label"]).values, "", [""])
    if named is None:
        return contents
    rows, names = renamed(contents.rows, named, lambda row: str(contents.rows["ref"][row]))
    return replace(
        contents, rows=replaced(rows, "label", rows["label"].cast("string")), names=names
    ).decided(Decision("class names", named.source, "it names every number"))
