"""Pictures and counts of what goes in: datasets and banks."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl.engine.catalogue import Cell
from discl.files.photos import save_picture, sheet
from discl.harness.experiment import Bench
from discl.spec.kinds import Dataset
from discl.spec.levels import PHOTO


class Counts(NamedTuple):
    """Photos per class; `rows` are (class, group, one count a split)."""

    splits: list[str]
    rows: list[tuple[str, str, list[int]]]
    note: str


def class_counts(dataset: Dataset) -> Counts:
    """Photos per class of every split; the corrupted ones, alike in number, share a column."""
    shown = [name for name in dataset.splits if not name.startswith("ood/")]
    ood = [name for name in dataset.splits if name.startswith("ood/")]
    tables = {name: np.bincount(dataset.split(name).labels, minlength=len(dataset.classes)) for name in [*shown, *ood[:1]]}
    train = tables["train"]
    rows = [
        (name, "many" if train[i] > 100 else "medium" if train[i] >= 20 else "few", [int(table[i]) for table in tables.values()])
        for i, name in enumerate(dataset.classes)
    ]
    groups = {int(group) for name in shown for group in np.unique(dataset.split(name).groups)}
    note = f"{len(ood)} ood splits: {', '.join(name.removeprefix('ood/') for name in ood)}; {len(groups)} group(s)"
    return Counts([*shown, *(["each ood"] if ood else [])], rows, note)


def photo_sheet(dataset: Dataset, path: Path, columns: int = 10) -> Path:
    """One line of training photos a class, then one of each ood split."""
    train = dataset.split("train")
    names, rows = [], []
    for label, name in enumerate(dataset.classes):
        mine = np.flatnonzero(train.labels == label)
        rows.append([np.asarray(train.pixels[mine[i % len(mine)]]) for i in range(columns)] if len(mine) else [])
        names.append(name)
    for name in dataset.splits:
        if name.startswith("ood/"):
            split = dataset.split(name)
            places = np.linspace(0, len(split) - 1, columns).astype(int)
            rows.append([np.asarray(split.pixels[place]) for place in places])
            names.append(name)
    return save_picture(sheet(rows, [""] * columns, names), path)


def spectrum_sheet(bench: Bench, path: Path, photos: int) -> Path:
    """A line a hard photo, a column a level, the photo last; images under the threshold are framed."""
    sources, levels = bench.sources, [level for level in sorted(bench.spec.levels) if level != PHOTO]
    order = np.argsort(
        [np.flatnonzero(np.flatnonzero(sources.labels == sources.labels[i]) == i)[0] for i in range(len(sources.ids))], kind="stable"
    )
    rows, names, marks = [], [], set[tuple[int, int]]()
    for r, place in enumerate(sorted(order[:photos], key=lambda i: sources.labels[i])):
        line = []
        for c, level in enumerate(levels):
            image, row = bench.bank.image(Cell(sources.ids[place], level, 0))
            line.append(image)
            if row.text_score is not None and row.text_score < bench.spec.bank.threshold:
                marks.add((r, c))
        rows.append([*line, sources.photos[place]])
        names.append(bench.dataset.classes[int(sources.labels[place])])
    return save_picture(sheet(rows, [*(f"{level} %" for level in levels), "photo"], names, marks=marks), path)
