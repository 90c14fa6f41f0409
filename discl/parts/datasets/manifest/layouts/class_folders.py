"""Photos sorted into folders by class, with folders by split, camera or taxonomy above them."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import NamedTuple

from discl.core.errors import UserError
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.files.beside import MASKS
from discl.parts.datasets.manifest.files.class_levels import (
    Levels,
    levels_of,
    looks_like_groups,
    tidied,
)
from discl.parts.datasets.manifest.files.folders import Path, folder_tree
from discl.parts.datasets.manifest.files.split_folders import Part, parts_of
from discl.parts.datasets.manifest.naming.numbered_names import named_numbers
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions, RowBuilder
from discl.parts.datasets.manifest.tree import FileTree, path_of

_COPY = re.compile(r"(.+?)(?:[ _-]+copy(?: ?\(?\d+\)?)?| \(\d+\)| - Kopie)", re.IGNORECASE)
_COPIED = 0.9  # of a folder's pictures have the names of others


class ClassFolders:
    """The deepest folder that is no camera, burst or the like is the class."""

    title = "class folders"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        return not options.table and any("/" in ref for ref in tree.pictures)

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        return _FolderReader(tree, options).contents()

    def read(self, root: FilePath, ref: str) -> bytes | None:
        return None

    def stamp(self, root: FilePath, ref: str) -> tuple[int, int] | None:
        return None


class _Place(NamedTuple):
    """Where a folder with pictures lies."""

    part: Part
    path: Path  # below the part, without containers and without the group that the user names
    group: str | None  # that one


class _FolderReader:
    """Reads one folder."""

    def __init__(self, tree: FileTree, options: ReadOptions) -> None:
        self.tree = tree
        self.options = options
        self.refs: dict[Path, list[str]] = {}
        for ref in tree.pictures:
            self.refs.setdefault(tuple(ref.split("/")[:-1]), []).append(ref)
        top = folder_tree((path, len(refs)) for path, refs in self.refs.items())
        self.parts = parts_of(top, options.ood)
        self.places = dict(self._placed())
        level = options.group_level
        if level and not any(place.group for place in self.places.values()):
            raise UserError(
                f"dataset.group_level = {level}: no photo of {tree.root} lies {level} folders deep"
            )
        counts: Counter[Path] = Counter()
        for folder, place in self.places.items():
            counts[place.path] += len(self.refs[folder])
        del counts[()]
        self.levels = levels_of(folder_tree(counts.items()))
        self.remarks: list[str] = []

    def contents(self) -> Contents:
        label_of = _labels(self.levels)
        copies = self._copies()
        labels = {
            folder: label_of[place.path]
            for folder, place in self.places.items()
            if place.path in label_of and place.path not in copies
        }
        for folder in self._unlabelled(labels):
            del labels[folder]
        self._check_classes(set(labels.values()))
        builder = RowBuilder()
        for folder, label in labels.items():
            place = self.places[folder]
            refs = self.refs[folder]
            values = {
                "label": _readable(label),
                "split": place.part.split,
                "group": place.group or self.levels.group.get(place.path),
                "sequence": self._sequence(place),
            }
            builder.extend(refs, **{name: [value] * len(refs) for name, value in values.items()})
        self._remark_unused(labels, copies)
        self._remark_empty(labels)
        self._remark_copies(labels)
        contents = Contents(
            builder.table(), None, tuple(self._decisions(labels)), tuple(self.remarks)
        )
        return named_numbers(self.tree, contents)

    def _placed(self) -> Iterator[tuple[Path, _Place]]:
        part_at = {part.path: part for part in self.parts.parts}
        level = self.options.group_level
        for folder in self.refs:
            part = next(
                (
                    part_at[folder[:depth]]
                    for depth in range(len(folder), -1, -1)
                    if folder[:depth] in part_at
                ),
                None,
            )
            if part is None:
                continue
            path = part.label + tidied(folder[len(part.path) :])
            if 1 <= level <= len(path):
                yield folder, _Place(part, path[: level - 1] + path[level:], path[level - 1])
            else:
                yield folder, _Place(part, path, None)

    def _copies(self) -> set[Path]:
        """Paths of class folders in a folder beside, whose pictures have the names of others."""
        if not self.levels.copies:
            return set()
        names = {
            (*place.path, ref.rpartition("/")[2])
            for folder, place in self.places.items()
            for ref in self.refs[folder]
        }
        copies = set()
        for above in self.levels.copies:
            depth = len(above)
            inside = [name for name in names if name[:depth] == above]
            again = sum(name[: depth - 1] + name[depth:] in names for name in inside)
            if again >= _COPIED * len(inside):
                copies |= {name[:-1] for name in inside}
        return copies

    def _unlabelled(self, labels: dict[Path, str]) -> list[Path]:
        """Folders of evaluation splits whose only folder is no class: test/unknown/*.jpg."""
        names: dict[str | None, set[str]] = {}
        for folder, label in labels.items():
            names.setdefault(self.places[folder].part.split, set()).add(label.lower())
        train = names.get("train", set())
        splits = [
            split
            for split in ("val", "test")
            if train and len(names.get(split, ())) == 1 and not names[split] & train
        ]
        return [folder for folder in labels if self.places[folder].part.split in splits]

    def _sequence(self, place: _Place) -> str | None:
        """The burst of a folder; bursts of two splits are two."""
        found = self.levels.sequence.get(place.path)
        return f"{place.part.split}/{found}" if found and place.part.split else found

    def _check_classes(self, classes: set[str]) -> None:
        if not classes:
            raise UserError(
                f"{self.tree.root}: no picture lies in a class folder; sort the photos as"
                " CLASS/1.jpg, or add a list with the columns file_name and label"
            )
        if len(classes) == 1:
            raise UserError(
                f"{self.tree.root} has photos of one class only, {classes.pop()}; at least two are"
                " needed: give the folder that holds a folder for each class"
            )
        if looks_like_groups(classes):
            raise UserError(
                f"{self.tree.root} is sorted by {examples(sorted(classes))}, which are names of"
                " cameras, sites, patients or days and no classes; add a list with the columns"
                " file_name and label, or rename the folders"
            )

    # -- what is told

    def _decisions(self, labels: dict[Path, str]) -> Iterator[Decision]:
        if self.parts.why:
            yield Decision("splits", self.parts.why, "their names")
        depths = sorted({self._level_of(self.places[folder]) for folder in labels})
        why = self.levels.whys.get("label", "the deepest that are no cameras, bursts or containers")
        where = " below the splits" if self.parts.why else ""
        some = examples(sorted(set(labels.values())))
        level = f"folders of level {' and '.join(map(str, depths))}{where} ({some})"
        yield Decision("label", level, why)
        groups = {self.places[folder].group for folder in labels} - {None}
        why = f"dataset.group_level = {self.options.group_level}"
        if not groups:
            groups = set(self.levels.group.values())
            why = self.levels.whys.get("group", "their names are those of cameras or patients")
        if groups:
            yield Decision("group", f"folders such as {examples(sorted(map(str, groups)))}", why)
        if self.levels.sequence:
            some = examples(sorted(set(self.levels.sequence.values())))
            yield Decision("sequence", f"folders below the classes ({some})", "their names")

    def _level_of(self, place: _Place) -> int:
        """The folder level of a class, 1 = the topmost, as the user counts them."""
        depth = self.levels.depth[place.path]
        return depth + (place.group is not None and self.options.group_level <= depth)

    def _remark_unused(self, labels: dict[Path, str], copies: set[Path]) -> None:
        unused = {"/".join(path): 0 for path in self.parts.unused}
        stray: Counter[str] = Counter()
        copied: Counter[str] = Counter()
        with_labels = {self.places[folder].part for folder in labels}
        without: Counter[Part] = Counter()
        for folder, refs in self.refs.items():
            place = self.places.get(folder)
            above = ["/".join(folder[:depth]) for depth in range(1, len(folder) + 1)]
            found = next((path for path in above if path in unused), None)
            if folder in labels:
                continue
            if found is not None:
                unused[found] += len(refs)
            elif place is not None and place.path in copies:
                copied["/".join(folder)] += len(refs)
            elif place is not None and place.part.split and place.part not in with_labels:
                without[place.part] += len(refs)
            else:
                stray["/".join(folder) or "the folder itself"] += len(refs)
        for path, count in unused.items():
            self.remarks.append(
                f"{path}/ is no split and no class folder and is not used ({count:,} picture(s))"
            )
        for part, count in without.items():
            self.remarks.append(
                f"{count:,} picture(s) of {'/'.join(part.path)}/ lie in no class folder, as those"
                f" of a {part.split} split without labels do; they are not used"
            )
        if stray:
            self.remarks.append(
                f"{stray.total():,} picture file(s) beside the class folders are not used: they"
                f" have no class ({_counts(stray)})"
            )
        if copied:
            self.remarks.append(
                f"{copied.total():,} picture(s) of class folders that are there twice are not used"
                f" ({_counts(copied)})"
            )

    def _remark_copies(self, labels: dict[Path, str]) -> None:
        """Tell of classes that are called as a system calls the copy of another."""
        classes = set(labels.values())
        found = [
            name for name in sorted(classes) if (of := _COPY.fullmatch(name)) and of[1] in classes
        ]
        if found:
            self.remarks.append(
                f"{examples(found)}: class folder(s) called as copies of others, and taken for"
                f" classes of their own; if they are none: dataset.drop_classes = {found[:3]}"
            )

    def _remark_empty(self, labels: dict[Path, str]) -> None:
        parents = {folder[:-1] for folder in labels}
        masks = {ref.rpartition("/")[0] for ref in self.tree.left_out.get(MASKS, ())}
        empty = [
            "/".join((*parent, name))
            for parent in sorted(parents)
            for name in self.tree.folders("/".join(parent))
            if not self.tree.below("/".join((*parent, name)))
            and "/".join((*parent, name)) not in masks
        ]
        if empty:
            self.remarks.append(f"{len(empty)} class folder(s) without a photo ({examples(empty)})")


def _labels(levels: Levels) -> dict[Path, str]:
    """Path -> class; with the folder above where a name recurs in another branch of a taxonomy."""
    above: dict[str, set[Path]] = {}
    for path, depth in levels.depth.items():
        above.setdefault(path[depth - 1], set()).add(_taxonomy(path, depth, levels))
    labels = {}
    for path, depth in levels.depth.items():
        name = path[depth - 1]
        over = _taxonomy(path, depth, levels)
        labels[path] = f"{over[-1]} {name}" if over and len(above[name]) > 1 else name
    return labels


def _taxonomy(path: Path, depth: int, levels: Levels) -> Path:
    """The folders above a class that are no groups."""
    above = enumerate(path[: depth - 1], 1)
    return tuple(name for level, name in above if level not in levels.uppers)


def _counts(counts: Counter[str], most: int = 4) -> str:
    listed = [f"{name} {count:,}" for name, count in counts.most_common(most)]
    return ", ".join([*listed, *(["..."] if len(counts) > most else [])])


def _readable(label: str) -> str:
    """A folder's name as text; one that is no UTF-8 is read as Windows' Western European."""
    if "\\" not in label:
        return label
    raw = os.fsencode(path_of(label))
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return label
