"""Lines of a text file that name photos: what divides path and class, and what the class is."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.plain_files import open_file
from discl.core.text import counted, listed
from discl.parts.datasets.manifest.columns import coded
from discl.parts.datasets.manifest.lists.choice import lists_of_one_kind, split_of_list
from discl.parts.datasets.manifest.lists.label_cells import with_column
from discl.parts.datasets.manifest.lists.list_columns import ListColumns, is_header
from discl.parts.datasets.manifest.lists.lookup import Finder, finders
from discl.parts.datasets.manifest.lists.reading import (
    BATCH,
    Columns,
    TextTable,
    delimiter_of,
    encoding_of,
)
from discl.parts.datasets.manifest.rows import Contents, Decision
from discl.parts.datasets.manifest.tree import FileTree, path_of

_SEPARATORS = ("\t", ",", ";", " ", "")  # "" = a line is a path
_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", " ": "blank"}
_SAMPLE = 200  # lines
_LEAST_FOUND = 0.5  # share of the sample's lines that must name a picture
_MOST_IN_A_FOLDER = 40  # text files; more are descriptions of photos
_DEEPEST = 3  # folders


class TextLines(NamedTuple):
    """A text list and how its lines are divided."""

    ref: str
    encoding: str
    separator: str  # between path and class; "" = there is no class
    header: bool
    numbers: int  # in each class; more than 1 = flags of classes, or the first is the class
    flags: bool
    refs: tuple[str, ...]  # photos of the first lines
    finds: Finder
    remarks: tuple[str, ...]
    counts: bool = False  # whether what follows the paths are the numbers of the lines


def text_lists(tree: FileTree) -> list[TextLines]:
    """The text files whose lines name photos."""
    texts = [ref for ref in tree.lists if ref.lower().endswith(".txt")]
    texts = [ref for ref in texts if ref.count("/") <= _DEEPEST]
    in_folder = Counter(ref.rpartition("/")[0] for ref in texts)
    few = [ref for ref in texts if in_folder[ref.rpartition("/")[0]] <= _MOST_IN_A_FOLDER]
    return [lines for ref in few if (lines := text_lines(tree, ref))]


def text_lines(tree: FileTree, ref: str) -> TextLines | None:
    """How the lines of a file are divided; None where they name no photos."""
    path = tree.root / path_of(ref)
    try:
        encoding, remarks = encoding_of(path, ref)
    except UserError:
        return None
    with open_file(path, encoding=encoding) as opened:
        sample = [line for line in map(str.strip, itertools.islice(opened, _SAMPLE)) if line]
    sample = [line for line in sample if line[0] != "#"]
    header = bool(sample) and is_header(sample[0].replace(",", " ").split())
    sample = sample[1:] if header else sample
    if not sample or (header and delimiter_of("\n".join(sample))):
        return None
    for finds in finders(tree, ref, split_of_list(ref)):
        found = {separator: _found(sample, separator, finds) for separator in _SEPARATORS}
        best = max(found, key=lambda separator: len(found[separator]))
        if len(found[best]) >= _LEAST_FOUND * len(sample):
            labels = [_divided(line, best, finds)[1] for line in sample]
            if best in "\t,;" and best and any(best in label for label in labels):
                return None  # more columns than two
            numbers, flags = _numbers(labels)
            counted_from = [[str(n + first) for n in range(len(labels))] for first in (0, 1)]
            counts = len(labels) > 2 and labels in counted_from
            return TextLines(
                ref, encoding, best, header, numbers, flags, found[best], finds, remarks, counts
            )
    return None


def _found(sample: Sequence[str], separator: str, finds: Finder) -> tuple[str, ...]:
    """The photos of those lines whose path is found."""
    photos = [finds(_divided(line, separator, finds)[0]) for line in sample]
    return tuple(photo for photo in photos if photo is not None)


def _divided(line: str, separator: str, finds: Finder) -> tuple[str, str]:
    """(path, class) of a line, at the last separator that has a photo before it.

    Both may hold blanks. Where no photo is found it is the last separator.
    """
    if not separator:
        return line.strip("\"'"), ""
    at = line.rfind(separator)
    while at > 0:
        path = line[:at].strip().strip("\"'")
        if finds(path) is not None:
            return path, line[at + 1 :].strip().strip("\"'")
        at = line.rfind(separator, 0, at)
    path, _, label = line.rpartition(separator)
    return path.strip().strip("\"'"), label.strip().strip("\"'")


def _numbers(labels: Sequence[str]) -> tuple[int, bool]:
    """(how many numbers each class consists of, whether all are 0 and 1); (1, False) = a word."""
    parts = [label.replace(",", " ").split() for label in labels]
    count = len(parts[0])
    if count < 2 or any(len(each) != count or not all(map(str.isdecimal, each)) for each in parts):
        return 1, False
    return count, count > 2 and {part for each in parts for part in each} <= {"0", "1"}


def lines_table(tree: FileTree, lines: TextLines) -> TextTable:
    """The list with the columns path and class; raises UserError for a line without both."""
    path = tree.root / path_of(lines.ref)

    def batches(columns: Sequence[str], size: int) -> Iterator[Columns]:
        with open_file(path, encoding=lines.encoding) as opened:
            full = (line for line in map(str.strip, opened) if line and line[0] != "#")
            rows = enumerate(itertools.islice(full, int(lines.header), None), 1)
            while block := list(itertools.islice(rows, size)):
                pairs = [_pair(lines, row, line) for row, line in block]
                yield {"path": [pair[0] for pair in pairs], "class": [pair[1] for pair in pairs]}

    return TextTable(lines.ref, ("path", "class"), batches, lines.remarks, headed=False)


def _pair(lines: TextLines, row: int, line: str) -> tuple[str, str]:
    path, label = _divided(line, lines.separator, lines.finds)
    if not path:
        raise UserError(
            f"{lines.ref}, row {row}: {line[:80]!r} is not a path, a {_NAMES[lines.separator]} and"
            " a class; correct it, or get the list again where it is cut off"
        )
    if lines.numbers < 2:
        return path, label
    parts = label.replace(",", " ").split()
    if not lines.flags:
        return path, parts[0] if parts else ""
    return path, json.dumps([str(number) for number, part in enumerate(parts) if part == "1"])


def lines_columns(lines: TextLines) -> ListColumns:
    """The columns of `lines_table`, and what was decided."""
    if not lines.separator:
        return ListColumns("path")
    name = _NAMES[lines.separator]
    choice = f"what follows the path and a {name}"
    if lines.flags:
        choice = f"which of the {lines.numbers} numbers after the path are 1"
    elif lines.numbers > 1:
        choice = f"the first of the {lines.numbers} numbers after the path"
    decision = Decision("label", choice, "of each line")
    return ListColumns("path", ("class",), decisions=(decision,))


def with_split_lists(contents: Contents, tree: FileTree) -> Contents:
    """Contents with the splits that text lists of paths alone give, where nothing else gives any.

    Raises UserError for a photo that stands in the lists of two splits.
    """
    if contents.rows["split"].null_count < contents.rows.num_rows:
        return contents
    found = {
        lines.ref: lines
        for lines in text_lists(tree)
        if not lines.separator and split_of_list(lines.ref)
    }
    chosen = lists_of_one_kind(list(found)) if found else []
    known_splits = set(map(split_of_list, chosen))
    chosen += [ref for ref in found if split_of_list(ref) not in known_splits]
    splits: dict[str, tuple[str, str]] = {}  # photo -> (split, list)
    for ref in chosen:
        lines = found[ref]
        split = split_of_list(ref) or ""
        for batch in lines_table(tree, lines).batches(("path",), BATCH):
            for cell in batch["path"]:
                photo = lines.finds(cell or "") or cell or ""
                known, first = splits.setdefault(photo, (split, ref))
                if known != split:
                    raise UserError(
                        f"{photo} stands in {first} and in {ref}: it can be in one split alone;"
                        " correct the lists"
                    )
    photos = coded(contents.rows["ref"])
    named = [splits[photo][0] if photo in splits else None for photo in photos.values]
    if not any(named):
        return contents
    rows = with_column(contents.rows, "split", photos.column(named))
    left = rows["split"].null_count
    remarks = [f"{counted(left, 'row')} of photos in none of {listed(chosen)}"] if left else []
    return contents.with_rows(rows, *remarks).decided(
        Decision("split", listed(chosen), "their lines are paths of photos")
    )
