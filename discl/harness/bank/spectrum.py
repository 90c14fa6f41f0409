"""Pictures and counts of what goes in: datasets and banks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.core.conventions import SHOTS
from discl.core.interfaces import Dataset, InFiles, Ints, Split
from discl.core.levels import PHOTO, TEXT_ONLY
from discl.engine.bank.catalogue import Cell
from discl.engine.level_images import LevelImages
from discl.files.figure import Figure, Tile
from discl.files.photos import save_picture, sheet
from discl.harness.run.assembly import Bench


class Counts(NamedTuple):
    """Photos per class; `rows` are (class, group, one count a split)."""

    splits: list[str]
    rows: list[tuple[str, str, list[int]]]
    note: str


def class_counts(dataset: Dataset, shots: str = "kang") -> Counts:
    """Photos per class of every split; those of ood/*, where they are alike in number, share a
    column. Reads no photo of a file.

    `shots` names the rule by which a class is many, medium or few.
    """
    shown = [name for name in dataset.splits if not name.startswith("ood/")]
    ood = [name for name in dataset.splits if name.startswith("ood/")]
    splits = {
        name: dataset.listing(name) if isinstance(dataset, InFiles) else dataset.split(name)
        for name in dataset.splits
    }
    tables = {
        name: np.bincount(split.labels, minlength=len(dataset.classes))
        for name, split in splits.items()
    }
    if alike := all(np.array_equal(tables[name], tables[ood[0]]) for name in ood):
        tables = {name: table for name, table in tables.items() if name in [*shown, *ood[:1]]}
    members = SHOTS[shots].members(tables["train"])
    rows = [
        (
            name,
            next(group for group, mine in members.items() if mine[i]),
            [int(table[i]) for table in tables.values()],
        )
        for i, name in enumerate(dataset.classes)
    ]
    groups = {int(group) for name in shown for group in np.unique(splits[name].groups)}
    note = (
        f"{len(ood)} ood splits: {', '.join(name.removeprefix('ood/') for name in ood)};"
        f" {len(groups)} group(s)"
    )
    return Counts(["each ood" if alike and name in ood else name for name in tables], rows, note)


def photo_sheet(dataset: Dataset, path: Path, columns: int = 10) -> Path:
    """One line of training photos a class, then one a group where there are several, then one of
    each ood split or group of it.
    """
    train = dataset.split("train")
    names = []
    rows = []
    for label, name in enumerate(dataset.classes):
        mine = np.flatnonzero(train.labels == label)
        rows.append(
            [np.asarray(train.pixels[mine[i % len(mine)]]) for i in range(columns)]
            if len(mine)
            else []
        )
        names.append(name)
    for name in ("train", *(name for name in dataset.splits if name.startswith("ood/"))):
        split = dataset.split(name)
        for group, places in _by_group(split).items():
            alone = len(places) == len(split)
            if alone and name == "train":  # its classes have said it all
                continue
            rows.append(
                [
                    np.asarray(split.pixels[place])
                    for place in places[np.linspace(0, len(places) - 1, columns).astype(int)]
                ]
            )
            names.append(name if alone else f"{name}, group {group}")
    return save_picture(sheet(rows, [""] * columns, names), path)


def _by_group(split: Split, most: int = 25) -> dict[int, Ints]:
    """Places of the photos of each group, of the `most` largest where there are more."""
    groups, sizes = np.unique(split.groups, return_counts=True)
    largest = np.sort(groups[np.argsort(-sizes, kind="stable")[:most]])
    return {int(group): np.flatnonzero(split.groups == group) for group in largest}


def spectrum(bench: Bench, photos: int) -> Figure:
    """A line a hard photo, a column a level, the photo last; each image is the one the benchmark
    picks of its draws.

    The photos are spread over the hard classes. Makes nothing: an image the bank lacks leaves a
    hole.
    """
    sources = bench.sources
    bank = bench.spec.bank
    levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
    nth = [
        np.flatnonzero(np.flatnonzero(sources.labels == label) == i)[0]
        for i, label in enumerate(sources.labels)
    ]
    chosen = sorted(
        np.argsort(nth, kind="stable")[:photos].tolist(),
        key=lambda place: int(sources.labels[place]),
    )
    picked = {
        level: bench.bank.view(level, bank.variants, sources, None, bank.best_of)
        for level in levels
    }
    kept = {
        level: bench.bank.view(level, bank.variants, sources, bank.threshold, bank.best_of)
        for level in levels
    }
    rows = [
        (
            *(_tile(bench, place, level, picked[level], kept[level]) for level in levels),
            Tile(sources.photos[place]),
        )
        for place in chosen
    ]
    heads = [
        f"level {level} %" + ("\n(text only)" if level == TEXT_ONLY else "") for level in levels
    ]
    legend = [
        "under each image: its cosine with the caption"
        + (f"; each is the best of {bank.best_of} draws" if bank.best_of > 1 else "")
    ]
    dropped = any(tile.dropped for row in rows for tile in row)
    return Figure(
        heads=(*heads, "photo"),
        names=tuple(bench.dataset.classes[int(sources.labels[place])] for place in chosen),
        rows=tuple(rows),
        legend=(
            *legend,
            *([] if dropped else [f"none of these is under the threshold {bank.threshold:g}"]),
        ),
        mark=f"dropped: the cosine is under the threshold {bank.threshold:g}" if dropped else "",
    )


def _tile(bench: Bench, place: int, level: int, picked: LevelImages, kept: LevelImages) -> Tile:
    """The first of a photo's picked images, as the view without and with the threshold has it."""
    mine = np.flatnonzero(picked.row == bench.sources.rows[place])
    if not len(mine):
        return Tile(None, "not made")
    image = bench.bank.image(Cell(bench.sources.ids[place], level, int(picked.variant[mine[0]])))
    score = "" if image[1].text_score is None else f"{image[1].text_score:.3f}"
    return Tile(image[0], score, not np.isin(picked.position[mine[0]], kept.position))
