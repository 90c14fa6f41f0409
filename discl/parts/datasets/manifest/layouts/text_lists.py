"""Text files with a photo and its class on each line, one for each split: train.txt, val.txt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from discl.core.text import listed
from discl.parts.datasets.manifest.lists.choice import (
    given_lists,
    lists_of_one_kind,
    split_of_list,
)
from discl.parts.datasets.manifest.lists.photo_rows import list_contents
from discl.parts.datasets.manifest.lists.raw_rows import PhotoList
from discl.parts.datasets.manifest.lists.text_lines import (
    TextLines,
    lines_columns,
    lines_table,
    text_lines,
    text_lists,
)
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import split_of


class TextLists:
    """Lines of a path and a class, as long-tailed code bases have them; names may have blanks.

    Numbers of classes get their names from classes.txt or from the folders of the photos. Lines
    that are only paths have the class of their folder.
    """

    title = "text lists"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        if options.table and not options.table.lower().endswith(".txt"):
            return False
        found = _found(tree, options)
        return any(lines.separator for lines in found) or _are_in_class_folders(found)

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        found = {lines.ref: lines for lines in _found(tree, options)}
        refs = list(found) if options.table else _chosen(list(found.values()))
        chosen = [found[ref] for ref in refs]
        lists = [
            PhotoList(
                lines.ref, lines_table(tree, lines), lines_columns(lines), split_of_list(lines.ref)
            )
            for lines in chosen
        ]
        with_class = any(lines.separator for lines in chosen)
        contents = list_contents(tree, lists, options, folder_labels=not with_class)
        unused = [ref for ref in found if ref not in refs]
        verb = "is" if len(unused) == 1 else "are"
        remarks = [f"{listed(unused)} {verb} not used: beside {listed(refs)}"] if unused else []
        why = "dataset.table" if options.table else "its lines name the photos"
        return contents.with_rows(contents.rows, *remarks).decided(
            Decision("list", listed(refs), why)
        )

    def read(self, root: Path, ref: str) -> None:
        return None


def _found(tree: FileTree, options: ReadOptions) -> list[TextLines]:
    if not options.table:
        found = text_lists(tree)
        numbered = [lines for lines in found if lines.separator]
        if all(lines.counts for lines in numbered):  # as ILSVRC's: its classes are elsewhere
            return [lines for lines in found if not lines.separator]
        return found
    given = given_lists(tree, options.table)
    return [lines for ref in given if (lines := text_lines(tree, ref))]


def _chosen(found: Sequence[TextLines]) -> list[str]:
    """Lists with classes, and those of other splits without any; else lists of paths."""
    with_class = [lines.ref for lines in found if lines.separator]
    chosen = lists_of_one_kind(with_class or [lines.ref for lines in found])
    splits = {split_of_list(ref) for ref in chosen} | {None}
    others = [lines.ref for lines in found if split_of_list(lines.ref) not in splits]
    return [*chosen, *(lists_of_one_kind(others) if others else [])] if with_class else chosen


def _are_in_class_folders(found: Sequence[TextLines]) -> bool:
    """Whether the photos lie in several folders that are no splits."""
    folders = {ref.rpartition("/")[0].rpartition("/")[2] for lines in found for ref in lines.refs}
    return len([folder for folder in folders if folder and not split_of(folder)]) > 1
