"""Finds photos that a list calls by their paths, before other spellings are tried."""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from collections.abc import Callable

from discl.parts.datasets.manifest.lists.choice import folder_of_list
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import split_of, splits_of

Finder = Callable[[str], str | None]


def joined(folder: str | None, name: str | None) -> str:
    """The path of a file whose folder stands in another column; "" where no file is named."""
    if not name or not folder or folder.strip() in ("", "."):
        return name or ""
    return f"{folder.strip().rstrip('/' + chr(92))}/{name.strip()}"


def finders(tree: FileTree, ref: str, split: str | None) -> tuple[Finder, Finder]:
    """(what finds a photo by its path, what finds it by other spellings) for the cells of a list.

    Paths start from the folders of the list's split, where they lie beside the list, then from the
    list's folder, then from the root. The second costs a hundred times more where there is nothing.
    """
    folder = folder_of_list(ref)
    folders = [*_split_folders(tree, folder, split), folder, ""]
    starts = tuple(dict.fromkeys(f"{each}/" if each else "" for each in folders))
    pictures = tree.pictures

    def find(cell: str) -> str | None:
        for start in starts:
            found = start + cell
            at = bisect_left(pictures, found)
            if at < len(pictures) and pictures[at] == found:
                return found
        if "./" in cell or "//" in cell or "\\" in cell:
            plain = posixpath.normpath(cell.replace("\\", "/"))
            return None if plain == cell else find(plain)
        return None

    def resolve(cell: str) -> str | None:
        if "\0" in cell:  # in no path
            return None
        for each in folders[:-1]:
            found = tree.resolve(cell, each)
            if found is not None and (found.startswith(each) or each == folder):
                return found
        return None

    return find, resolve


def _split_folders(tree: FileTree, folder: str, split: str | None) -> list[str]:
    """Folders of a split in the folder of a list, or one below it."""
    if split is None:
        return []
    found = []
    names = tree.folders(folder)
    splits = splits_of(names)  # cars_train beside cars_test
    for name in names:
        path = f"{folder}/{name}".lstrip("/")
        own = splits.get(name) == split
        if own:
            found.append(path)
        inner = [
            each for each in tree.folders(path) if split_of(each) == split or (own and each == name)
        ]
        found += [f"{path}/{each}" for each in inner]
    return found
