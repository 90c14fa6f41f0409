"""The photos of a dataset: how many of each class, and a sheet of examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.core.class_counts import small_of
from discl.core.conventions import SHOTS, known_id_test_split
from discl.core.interfaces import NO_GROUP, Dataset, InFiles, Ints, Split
from discl.files.figure import Figure, Tile, save_figure

MOST_GROUPS = 25  # of a split, on the sheet


class PhotoCounts(NamedTuple):
    """Photos per class and split."""

    splits: list[str]
    rows: list[tuple[str, str, list[int]]]  # (class, group, photos in each split)
    note: str


def count_photos(dataset: Dataset, shots: str = "kang") -> PhotoCounts:
    """Photos per class of every split; the ood splits share a column where they are alike.

    Reads no photo of a file. `shots` names the rule by which a class is many, medium or few.
    """
    splits = {
        name: dataset.listing(name) if isinstance(dataset, InFiles) else dataset.split(name)
        for name in dataset.splits
    }
    counts = {
        name: np.bincount(split.labels, minlength=len(dataset.classes))
        for name, split in splits.items()
    }
    ood = [name for name in dataset.splits if name.startswith("ood/")]
    alike = bool(ood) and all(np.array_equal(counts[name], counts[ood[0]]) for name in ood)
    columns = {name: name for name in dataset.splits if not alike or name not in ood[1:]}
    if alike:
        columns[ood[0]] = "each ood"
    published: Ints | None = getattr(dataset, "published_counts", None)
    group_of = _groups_of_classes(counts["train"] if published is None else published, shots)
    rows = [
        (name, group_of[label], [int(counts[split][label]) for split in columns])
        for label, name in enumerate(dataset.classes)
    ]
    others = [name for name in dataset.splits if name not in ood]
    groups = {int(group) for name in others for group in np.unique(splits[name].groups)}
    groups.discard(NO_GROUP)
    short = ", ".join(name.removeprefix("ood/") for name in ood)
    several = len(groups) if len(groups) > 1 else "none"  # one is that of all photos
    note = f"ood splits: {short or 'none'}; groups: {several}"
    test = known_id_test_split(columns)
    small = small_of(_test_photos(rows, [*columns].index(test))) if test else ()
    return PhotoCounts([*columns.values()], rows, "\n".join([note, *small]))


def _test_photos(rows: Sequence[tuple[str, str, list[int]]], at: int) -> dict[str, tuple[int, int]]:
    """many, medium, few -> classes with test photos, and these photos, of the column `at`."""
    groups: dict[str, tuple[int, int]] = {}
    for group in ("many", "medium", "few"):
        photos = [counts[at] for _, own, counts in rows if own == group and counts[at]]
        groups[group] = (len(photos), sum(photos))
    return groups


class GroupCounts(NamedTuple):
    """Photos per group and split, of datasets whose groups have names."""

    splits: list[str]
    rows: list[tuple[str, list[int], str]]  # (group, photos in each split, its classes)
    note: str


def count_groups(dataset: InFiles, names: Sequence[str]) -> GroupCounts:
    """Photos of each group in every split; of many groups the largest ones. Reads no photo.

    `names` are those of the groups, in the order of their numbers.
    """
    splits = [*dataset.splits]
    listings = [dataset.listing(name) for name in splits]
    in_split = [
        np.bincount(listing.groups + 1, minlength=len(names) + 1) for listing in listings
    ]  # the first is of photos without a group
    photos = np.sum(in_split, axis=0)
    groups = np.concatenate([listing.groups for listing in listings])
    labels = np.concatenate([listing.labels for listing in listings])
    largest = 1 + np.argsort(-photos[1:], kind="stable")[:MOST_GROUPS]
    shown = [*np.sort(largest).tolist(), *([0] if photos[0] else [])]
    rows = []
    for place in shown:
        classes = np.bincount(labels[groups == place - 1], minlength=len(dataset.classes))
        order = [label for label in np.argsort(-classes, kind="stable").tolist() if classes[label]]
        told = ", ".join(f"{dataset.classes[label]} {classes[label]:,}" for label in order[:3])
        more = f" and {len(order) - 3} more" if len(order) > 3 else ""
        name = names[place - 1] if place else "(no group)"
        rows.append((name, [int(counts[place]) for counts in in_split], told + more))
    used = photos[1:][photos[1:] > 0]
    note = (
        f"{len(used):,} groups of {used.min():,} to {used.max():,} photos, half of them of"
        f" {np.median(used):,.0f} or more"
        if len(used)
        else "no photo has a group"
    )
    if len(used) > MOST_GROUPS:
        note += f"; the {MOST_GROUPS} largest are shown"
    held = np.array([counts[1:] > 0 for counts in in_split])
    several = int((held.sum(axis=0) > 1).sum())
    note += f"; {several:,} have photos in more than one split"
    return GroupCounts(splits, rows, note)


def _groups_of_classes(counts: Ints, shots: str) -> list[str]:
    """many, medium or few, for each class."""
    members = SHOTS[shots].members(counts)
    return [
        next(group for group, is_member in members.items() if is_member[label])
        for label in range(len(counts))
    ]


def photo_sheet(dataset: Dataset, path: Path, columns: int = 10) -> Path:
    """Draw training photos of each class and group, then photos of each ood split or group of it.

    Returns the path.
    """
    train = dataset.split("train")
    names = []
    lines = []
    for label, name in enumerate(dataset.classes):
        rows = np.flatnonzero(train.labels == label)
        chosen = [rows[column % len(rows)] for column in range(columns)] if len(rows) else []
        names.append(name)
        lines.append(_tiles(train, chosen, columns))
    for name in ("train", *(name for name in dataset.splits if name.startswith("ood/"))):
        split = dataset.split(name)
        for group, rows in _rows_by_group(split).items():
            only_group = len(rows) == len(split)
            if only_group and name == "train":  # its classes are shown above
                continue
            chosen = rows[np.linspace(0, len(rows) - 1, columns).astype(int)].tolist()
            whose = "no group" if group == NO_GROUP else f"group {group_name(dataset, group)}"
            names.append(name if only_group else f"{name}, {whose}")
            lines.append(_tiles(split, chosen, columns))
    figure = Figure(heads=("",) * columns, names=(*names,), rows=(*lines,), legend=())
    return save_figure(figure, path)


def group_name(dataset: Dataset, group: int) -> str:
    """The name of a group where the dataset has names, else its number."""
    names: Sequence[str] = getattr(dataset, "group_names", ())
    return names[group] if 0 <= group < len(names) else str(group)


def _tiles(split: Split, rows: list[int], columns: int) -> tuple[Tile, ...]:
    tiles = [Tile(np.asarray(split.pixels[row])) for row in rows]
    return (*tiles, *[Tile(None)] * (columns - len(tiles)))


def _rows_by_group(split: Split) -> dict[int, Ints]:
    """Rows [n] of each group; of many groups the largest."""
    groups, sizes = np.unique(split.groups, return_counts=True)
    largest = np.sort(groups[np.argsort(-sizes, kind="stable")[:MOST_GROUPS]])
    return {int(group): np.flatnonzero(split.groups == group) for group in largest}
