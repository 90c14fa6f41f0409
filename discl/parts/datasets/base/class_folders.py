"""Photos sorted into folders by class, below folders by split or not."""

from __future__ import annotations

import os
from pathlib import Path

from discl.parts.datasets.base.layout import Columns, Found, Wanted, split_of
from discl.parts.datasets.base.photo_files import PICTURES, few


class Tree:
    """Every picture below a class folder belongs to the class, however deep it lies."""

    def recognises(self, root: Path) -> bool:
        return bool(_subfolders(root))

    def look(self, root: Path, wanted: Wanted) -> Found:
        tops = _subfolders(root)
        if not any(split_of(name) == "train" for name in tops):
            places = [("", "")]
        else:
            places = [(name, split) for name in tops if (split := split_of(name))]
            places += [
                (f"{name}/{inside}", f"ood/{inside}")
                for name in tops
                if name.lower() == "ood"
                for inside in _subfolders(root / name)
            ]
        splits: dict[str, Columns] = {}
        empty = list[str]()
        stray = 0
        for folder, split in places:
            refs, labels, _ = splits.setdefault(split, Columns([], [], []))
            stray += sum(_is_picture(entry.name) for entry in os.scandir(root / folder))
            for name in _subfolders(root / folder):
                place = f"{folder}/{name}".strip("/")
                found = _pictures(root, place)
                refs += found
                labels += [name] * len(found)
                empty += [] if found else [place]
        return Found(
            splits,
            None,
            tuple(_remarks(empty, stray, _unused(tops, [folder for folder, _ in places]))),
        )

    def read(self, root: Path, ref: str) -> None:
        return None

    def stamp(self, root: Path, ref: str) -> None:
        return None


def _remarks(empty: list[str], stray: int, unused: list[str]) -> list[str]:
    said = [f"{len(empty)} class folder(s) without a photo ({few(empty)})"] if empty else []
    said += (
        [f"{stray} picture file(s) beside the class folders are not used: they have no class"]
        if stray
        else []
    )
    return said + (
        [f"folder(s) beside train/ that are no split and not used: {few(unused)}"] if unused else []
    )


def _unused(tops: list[str], used: list[str]) -> list[str]:
    return (
        []
        if used == [""]
        else [name for name in tops if name not in {folder.partition("/")[0] for folder in used}]
    )


def _pictures(root: Path, folder: str) -> list[str]:
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
    return name.lower().endswith(PICTURES) and not name.startswith(".")


def _subfolders(folder: Path) -> list[str]:
    """Those a person made: no hidden ones, nor what archivers and servers leave behind."""
    with os.scandir(folder) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.is_dir() and entry.name[0] not in ".@" and entry.name != "__MACOSX"
        )
