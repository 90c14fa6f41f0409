"""Text files with a photo and its class on each line, one for each split: train.txt, val.txt."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.text import listed
from discl.parts.datasets.manifest.lists.choice import (
    given_lists,
    lists_of_one_kind,
    split_of_list,
)
from discl.parts.datasets.manifest.lists.list_columns import ListColumns, is_header
from discl.parts.datasets.manifest.lists.lookup import finders
from discl.parts.datasets.manifest.lists.photo_rows import PhotoList, list_contents
from discl.parts.datasets.manifest.lists.reading import Columns, TextTable, encoding_of
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree, path_of

_SEPARATORS = ("\t", ",", ";", " ", "")  # "" = a line is a path
_NAMES = {"\t": "a tab", ",": "a comma", ";": "a semicolon", " ": "a blank"}
_SAMPLE = 200  # lines
_LEAST_FOUND = 0.5  # share of the sample's lines that must name a picture
_MOST_IN_A_FOLDER = 40  # text files; more are descriptions of photos
_DEEPEST = 3  # folders


class _Lines(NamedTuple):
    """A text list and how its lines are divided."""

    ref: str
    encoding: str
    separator: str
    header: bool
    remarks: tuple[str, ...]


class TextLists:
    """Lines of a path and a class, as long-tailed code bases have them; a name may have blanks.

    Numbers of classes get their names from classes.txt or from the folders of the photos. Lines
    that are only paths have the class of their folder.
    """

    title = "text lists"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        if options.table and not options.table.lower().endswith(".txt"):
            return False
        return bool(_found(tree, options))

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        found = {lines.ref: lines for lines in _found(tree, options)}
        refs = list(found) if options.table else lists_of_one_kind(list(found))
        chosen = [found[ref] for ref in refs]
        lists = [
            PhotoList(lines.ref, _table(tree, lines), _columns(lines), split_of_list(lines.ref))
            for lines in chosen
        ]
        with_class = [lines.ref for lines in chosen if lines.separator]
        if with_class and len(with_class) < len(chosen):
            lists = [photos for photos in lists if photos.ref in with_class or photos.split]
        contents = list_contents(tree, lists, options, folder_labels=not with_class)
        unused = [ref for ref in found if ref not in refs]
        remarks = [f"{listed(unused)} not used: {listed(refs)} list the photos"] if unused else []
        why = "dataset.table" if options.table else "its lines name the photos"
        return contents.with_rows(contents.rows, *remarks).decided(
            Decision("list", listed(refs), why)
        )

    def read(self, root: Path, ref: str) -> None:
        return None

    def stamp(self, root: Path, ref: str) -> None:
        return None


def _found(tree: FileTree, options: ReadOptions) -> list[_Lines]:
    if options.table:
        found = [_lines(tree, ref) for ref in given_lists(tree, options.table)]
        return [lines for lines in found if lines is not None]
    texts = [ref for ref in tree.lists if ref.lower().endswith(".txt")]
    texts = [ref for ref in texts if ref.count("/") <= _DEEPEST]
    in_folder = Counter(ref.rpartition("/")[0] for ref in texts)
    few = [ref for ref in texts if in_folder[ref.rpartition("/")[0]] <= _MOST_IN_A_FOLDER]
    found = [_lines(tree, ref) for ref in few]
    return [lines for lines in found if lines is not None]


def _lines(tree: FileTree, ref: str) -> _Lines | None:
    """How the lines of a file are divided; None where they name no pictures."""
    path = tree.root / path_of(ref)
    try:
        encoding, remarks = encoding_of(path, ref)
    except UserError:
        return None
    with path.open(encoding=encoding) as opened:
        sample = [line.strip() for line in itertools.islice(opened, _SAMPLE) if line.strip()]
    header = bool(sample) and is_header(sample[0].replace(",", " ").split())
    sample = sample[1:] if header else sample
    if not sample:
        return None
    for finds in finders(tree, ref, split_of_list(ref)):
        shares = {separator: _share(sample, separator, finds) for separator in _SEPARATORS}
        best = max(shares, key=lambda separator: shares[separator])
        if shares[best] >= _LEAST_FOUND:
            return _Lines(ref, encoding, best, header, remarks)
    return None


def _share(sample: Sequence[str], separator: str, finds: Callable[[str], str | None]) -> float:
    """The share of lines whose path is found."""
    return sum(finds(_divided(line, separator)[0]) is not None for line in sample) / len(sample)


def _divided(line: str, separator: str) -> tuple[str, str]:
    """(path, class) of a line; the class follows the last separator."""
    if not separator:
        return line.strip("\"'"), ""
    path, _, label = line.rpartition(separator)
    return path.strip().strip("\"'"), label.strip().strip("\"'")


def _table(tree: FileTree, lines: _Lines) -> TextTable:
    path = tree.root / path_of(lines.ref)

    def batches(columns: Sequence[str], size: int) -> Iterator[Columns]:
        with path.open(encoding=lines.encoding) as opened:
            full = filter(None, map(str.strip, itertools.islice(opened, int(lines.header), None)))
            number = 0
            while block := [
                _divided(line, lines.separator) for line in itertools.islice(full, size)
            ]:
                for at, (photo, _) in enumerate(block, number + 1):
                    if not photo:
                        raise UserError(
                            f"{lines.ref}, row {at}: {block[at - number - 1][1][:80]!r} is not a"
                            f" path, {_NAMES[lines.separator]} and a class; correct it, or get the"
                            " list again where it is cut off"
                        )
                number += len(block)
                yield {"path": [pair[0] for pair in block], "class": [pair[1] for pair in block]}

    return TextTable(lines.ref, ("path", "class"), batches, lines.remarks, headed=False)


def _columns(lines: _Lines) -> ListColumns:
    if not lines.separator:
        return ListColumns("path")
    decision = Decision("label", f"after the last {_NAMES[lines.separator][2:]}", "of each line")
    return ListColumns("path", ("class",), decisions=(decision,))
