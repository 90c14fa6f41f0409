"""Files that name the classes beside lists that number them: classes.txt, names.csv."""

from __future__ import annotations

from collections.abc import Iterable

from discl.parts.datasets.manifest.lists.label_cells import NamedNumbers, plain_number
from discl.parts.datasets.manifest.lists.list_columns import is_number
from discl.parts.datasets.manifest.lists.reading import encoding_of, open_table
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import LABEL_COLUMNS, plain_name

_STEMS = (
    "classes", "class_names", "classnames", "names", "class_list", "label_names", "labels",
    "categories", "label_map", "class_labels", "labelmap", "class_to_name", "classes_names",
)  # fmt: skip
_MOST = 1 << 22  # bytes; what is larger is no list of classes


def class_list(tree: FileTree, folder: str, numbers: Iterable[str]) -> NamedNumbers | None:
    """The names that a file in `folder` or at the root gives to all `numbers`; None = no file does.

    A file has a name on each line, in the order of the numbers from 0 or from 1; or a number and a
    name; or, as CSV, a column of each.
    """
    asked = {plain_number(number) for number in numbers} - {"-1"}
    found = [ref for stem in _STEMS for ref in _files(tree, stem, folder)]
    for ref in found:
        names = _names(tree, ref, asked)
        if names is not None and asked <= names.keys():
            return NamedNumbers(names, ref)
    return None


def _files(tree: FileTree, stem: str, folder: str) -> list[str]:
    places = dict.fromkeys([folder, ""])
    return [
        ref
        for ref in tree.lists
        if ref.rpartition("/")[0] in places
        and plain_name(ref.rpartition("/")[2].rpartition(".")[0]) == stem
        and ref.lower().endswith((".txt", ".csv", ".tsv"))
    ]


def _names(tree: FileTree, ref: str, asked: set[str]) -> dict[str, str] | None:
    path = tree.root / path_of(ref)
    if path.stat().st_size > _MOST:
        return None
    if not ref.lower().endswith(".txt"):
        return _from_table(tree, ref)
    encoding, _ = encoding_of(path, ref)
    lines = [line.strip() for line in path.read_text(encoding).splitlines() if line.strip()]
    first = [line.replace("\t", " ").replace(",", " ").partition(" ") for line in lines]
    if lines and all(is_number(number) and rest.strip() for number, _, rest in first):
        return {plain_number(number): rest.strip(" :\t") for number, _, rest in first}
    last = [line.replace("\t", " ").replace(",", " ").rpartition(" ") for line in lines]
    if lines and all(is_number(number) and rest.strip() for rest, _, number in last):
        return {plain_number(number): rest.strip(" :\t") for rest, _, number in last}
    start = 1 if str(len(lines)) in asked else 0
    return {str(number): line for number, line in enumerate(lines, start)}


def _from_table(tree: FileTree, ref: str) -> dict[str, str] | None:
    """From a column of numbers and one of words."""
    table = open_table(tree.root / path_of(ref), ref, lambda first: True)
    cells = table.sample()
    numbers = [
        name for name in table.names if all(cell and is_number(cell) for cell in cells[name])
    ]
    words = [name for name in table.names if name not in numbers and all(cells[name])]
    usual = (*LABEL_COLUMNS, "name")
    words.sort(key=lambda name: usual.index(plain_name(name)) if plain_name(name) in usual else 99)
    if not numbers or not words:
        return None
    pairs = zip(cells[numbers[0]], cells[words[0]], strict=True)
    return {plain_number(number): word.strip() for number, word in pairs if number and word}
