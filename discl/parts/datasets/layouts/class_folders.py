"""Photos sorted into folders by class, with or without folders by split above them."""

from __future__ import annotations

import os
from pathlib import Path

from discl.parts.datasets.base.survey import PICTURE_ENDINGS, examples
from discl.parts.datasets.layouts.interface import (
    ColumnNames,
    FolderContents,
    SplitRows,
    split_of,
)


class ClassFolders:
    """A picture at any depth below a class folder belongs to the class."""

    def recognises(self, root: Path) -> bool:
        return bool(_subfolders(root))

    def contents(self, root: Path, columns: ColumnNames) -> FolderContents:
        top_folders = _subfolders(root)
        folders = _split_folders(root, top_folders)
        splits: dict[str, SplitRows] = {}
        empty = list[str]()
        stray = 0
        for folder, split in folders:
            rows = splits.setdefault(split, SplitRows([], [], []))
            stray += sum(_is_picture(entry.name) for entry in os.scandir(root / folder))
            for class_name in _subfolders(root / folder):
                class_folder = f"{folder}/{class_name}".strip("/")
                pictures = _pictures(root, class_folder)
                rows.refs.extend(pictures)
                rows.labels.extend([class_name] * len(pictures))
                if not pictures:
                    empty.append(class_folder)
        used = {folder.partition("/")[0] for folder, _ in folders}
        unused = [] if used == {""} else [name for name in top_folders if name not in used]
        return FolderContents(splits, None, tuple(_remarks(empty, stray, unused)))

    def read(self, root: Path, ref: str) -> None:
        return None

    def stamp(self, root: Path, ref: str) -> None:
        return None


def _split_folders(root: Path, top_folders: list[str]) -> list[tuple[str, str]]:
    """(folder with class folders, split); only the root where nothing is called train."""
    named = [(name, split_of(name)) for name in top_folders]
    splits = [(name, split) for name, split in named if split]
    if "train" not in (split for _, split in splits):
        return [("", "")]
    for name in top_folders:
        if name.lower() == "ood":
            splits += [(f"{name}/{inner}", f"ood/{inner}") for inner in _subfolders(root / name)]
    return splits


def _remarks(empty: list[str], stray: int, unused: list[str]) -> list[str]:
    remarks = []
    if empty:
        remarks.append(f"{len(empty)} class folder(s) without a photo ({examples(empty)})")
    if stray:
        remarks.append(
            f"{stray} picture file(s) beside the class folders are not used: they have no class"
        )
    if unused:
        remarks.append(
            f"folder(s) beside train/ that are no split and not used: {examples(unused)}"
        )
    return remarks


def _pictures(root: Path, folder: str) -> list[str]:
    """Picture files at any depth below a folder, as paths from `root`."""
    refs = []
    inner = []
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if entry.is_dir():
                inner.append(f"{folder}/{entry.name}")
            elif _is_picture(entry.name):
                refs.append(f"{folder}/{entry.name}")
    for below in inner:
        refs += _pictures(root, below)
    return sorted(refs)


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_ENDINGS) and not name.startswith(".")


def _subfolders(folder: Path) -> list[str]:
    """Folders without hidden ones and those that archivers and servers leave behind."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir() and entry.name[0] not in ".@" and entry.name != "__MACOSX"
        )
