"""Photos sorted into folders by class, below folders by split or not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from discl.parts.datasets._listed import PICTURES

_SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
    "id_val": "id_val", "id_test": "id_test",
}  # fmt: skip


class Row(NamedTuple):
    ref: str
    name: str  # of the class
    group: str = ""


class Tree(NamedTuple):
    rows: dict[str, list[Row]]  # by split; "" where there are no folders by split
    empty: list[str]  # class folders without a picture
    stray: int  # pictures beside the class folders


def split_of(name: str) -> str | None:
    """The split that a folder or a file is called after, such as `val` for `validation` and `ood/night` for `ood_night`."""
    if name.lower().startswith(("ood_", "ood-")):
        return "ood/" + name[4:]
    return _SPLITS.get(name.lower())


def read_tree(root: Path) -> Tree:
    """Every picture below a class folder, however deep."""
    tops = _subfolders(root)
    tree = Tree({}, [], 0)
    if not any(split_of(name) == "train" for name in tops):
        return _classes(root, "", "", tree)
    for name in tops:
        if name.lower() == "ood":
            for inside in _subfolders(root / name):
                tree = _classes(root, f"{name}/{inside}", f"ood/{inside}", tree)
        elif split := split_of(name):
            tree = _classes(root, name, split, tree)
    return tree


def _classes(root: Path, folder: str, split: str, tree: Tree) -> Tree:
    """`tree` with the pictures in the class folders of `folder`."""
    rows = tree.rows.setdefault(split, [])
    for name in _subfolders(root / folder):
        found = [Row(ref, name) for ref in _pictures(root, f"{folder}/{name}".strip("/"))]
        rows += found
        if not found:
            tree.empty.append(f"{folder}/{name}".strip("/"))
    return tree._replace(stray=tree.stray + sum(_is_picture(entry) for entry in os.scandir(root / folder)))


def _pictures(root: Path, folder: str) -> list[str]:
    refs, inner = [], []
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                inner.append(f"{folder}/{entry.name}")
            elif _is_picture(entry):
                refs.append(f"{folder}/{entry.name}")
    for below in inner:
        refs += _pictures(root, below)
    return sorted(refs)


def _is_picture(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in PICTURES and not entry.name.startswith(".")


def _subfolders(folder: Path) -> list[str]:
    """Those a person made: no hidden ones, nor what archivers and servers leave behind."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] not in ".@" and entry.name != "__MACOSX")
