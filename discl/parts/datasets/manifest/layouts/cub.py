"""The lists of CUB-200-2011 and NABirds: images.txt, image_class_labels.txt, classes.txt."""

from __future__ import annotations

from pathlib import Path

from discl.core.errors import UserError
from discl.core.plain_files import open_file
from discl.parts.datasets.manifest.lists.list_columns import ListColumns
from discl.parts.datasets.manifest.lists.photo_rows import list_contents
from discl.parts.datasets.manifest.lists.raw_rows import PhotoList
from discl.parts.datasets.manifest.lists.reading import Columns, TextTable, encoding_of
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree, path_of

_IMAGES = "images.txt"
_LABELS = "image_class_labels.txt"
_SPLIT = "train_test_split.txt"
_CLASSES = "classes.txt"
_BOXES = "bounding_boxes.txt"


class CubLists:
    """Lines of a photo's number, and its path, its class, or whether it is for training.

    There is no val: it is cut from train.
    """

    title = "lists of CUB"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        return not options.table and _folder(tree) is not None

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        folder = _folder(tree) or ""
        paths = _numbered(tree, folder + _IMAGES)
        labels = _numbered(tree, folder + _LABELS)
        splits = _numbered(tree, folder + _SPLIT) if folder + _SPLIT in tree.lists else {}
        names = _numbered(tree, folder + _CLASSES) if folder + _CLASSES in tree.lists else {}
        unknown = next((key for key in labels if key not in paths), None)
        if unknown is not None:
            raise UserError(
                f"{folder}{_LABELS} gives a class to photo {unknown}, which {folder}{_IMAGES} does"
                " not list; get the lists again"
            )
        unnamed = next((key for key, label in labels.items() if names and label not in names), None)
        if unnamed is not None:
            raise UserError(
                f"{folder}{_LABELS} gives photo {unnamed} the class {labels[unnamed]}, which"
                f" {folder}{_CLASSES} does not name; get the lists again"
            )
        columns: Columns = {
            "path": list(paths.values()),
            "class": [names.get(labels.get(key, ""), labels.get(key)) for key in paths],
            "is_train": [splits.get(key) for key in paths],
        }
        table = TextTable(folder + _IMAGES, tuple(columns), lambda *_: iter([columns]))
        split = "is_train" if splits else ""
        found = ListColumns("path", ("class",), split=split, decisions=_decisions(folder, split))
        contents = list_contents(tree, [PhotoList(folder + _IMAGES, table, found)], options)
        ordered = tuple(names[key] for key in sorted(names, key=_number)) if names else None
        remarks = [f"{folder}{_BOXES} is not used"] if folder + _BOXES in tree.lists else []
        return Contents(contents.rows, ordered, contents.decisions, (*contents.remarks, *remarks))

    def read(self, root: Path, ref: str) -> None:
        return None


def _folder(tree: FileTree) -> str | None:
    """The folder with the lists, with a slash; None where there is none."""
    found = [ref for ref in tree.lists if ref.rpartition("/")[2] == _LABELS]
    folders = [ref.removesuffix(_LABELS) for ref in found]
    return next((folder for folder in folders if folder + _IMAGES in tree.lists), None)


def _numbered(tree: FileTree, ref: str) -> dict[str, str]:
    """Number -> what follows it, of each line.

    Raises UserError for a line without both and a number that stands twice.
    """
    path = tree.root / path_of(ref)
    encoding, _ = encoding_of(path, ref)
    found: dict[str, str] = {}
    with open_file(path, encoding=encoding) as opened:
        for number, line in enumerate(opened, 1):
            key, _, rest = line.strip().partition(" ")
            if not key:
                continue
            if not rest.strip():
                raise UserError(
                    f"{ref}, line {number}: {line.strip()[:80]!r} is not a number, a blank and what"
                    " it stands for; get the list again"
                )
            if key in found:
                raise UserError(f"{ref}, line {number}: {key} stands there twice; correct it")
            found[key] = rest.strip()
    return found


def _number(key: str) -> tuple[int, str]:
    return (int(key) if key.isdecimal() else 0, key)


def _decisions(folder: str, split: str) -> tuple[Decision, ...]:
    why = "the lists of CUB"
    decisions = [
        Decision("image", f"{folder}{_IMAGES}", why),
        Decision("label", f"{folder}{_LABELS}", why),
    ]
    return (*decisions, *([Decision("split", f"{folder}{_SPLIT}", why)] if split else []))
