"""What the rule for hard photos chose, as facts and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discl.core.interfaces import Ints
from discl.core.levels import PHOTO, denoising_steps
from discl.engine.hard_mining import OutOfFoldPredictions, quantiles
from discl.files.figure import Figure, Tile
from discl.harness.hard.rules import allowed
from discl.harness.run.assembly import Bench

MARKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
ROWS, COLUMNS, NOTE = 24, 8, 15  # of the sheet: classes, photos of each, letters under a photo


@dataclass(frozen=True)
class HardClass:
    """Hard photos of one class."""

    label: int
    class_name: str
    photos: int
    hard: int
    excluded: bool
    median_probability: (
        float | None
    )  # of the true class, over all its photos; None where no judge was asked


@dataclass(frozen=True)
class HardPhoto:
    """A hard photo and what the judge that had not seen it said."""

    id: str
    class_name: str
    guess: str | None
    probability: float | None  # of the true class
    fold: int | None


@dataclass(frozen=True)
class Spread:
    """What judges said of all training photos."""

    folder: str
    folds: list[int]  # photos of each
    selected_by: str
    selected: list[float | None]  # that metric, by judge
    strange: int  # photos of a class their judge had never seen
    probabilities: dict[str, float]  # quantiles, all photos
    hard_probabilities: dict[str, float]
    below: dict[str, int]  # threshold -> photos it would choose


@dataclass(frozen=True)
class Choice:
    """Which training photos are hard, and what making images from them takes."""

    benchmark: str
    scale: str
    hard: dict[str, object]  # the rule, as the benchmark says it
    training_photos: int
    hard_photos: int
    classes: list[HardClass]
    images: int  # the bank needs, all levels together
    denoising_steps: int
    judges: Spread | None
    photos: list[HardPhoto]  # the least sure first


def choice(bench: Bench) -> Choice:
    """What the rule chose; the work it needs must be done."""
    spec, rule = bench.spec, bench.hard_rule
    said = rule.judges.judged if rule.judges else None
    levels = [level for level in spec.levels if level != PHOTO]
    each = len(bench.hard) * spec.bank.variants * spec.bank.best_of
    return Choice(
        benchmark=spec.name,
        scale=spec.scale,
        hard=spec.hard.said(),
        training_photos=len(bench.train),
        hard_photos=len(bench.hard),
        classes=_classes(bench, said),
        images=each * len(levels),
        denoising_steps=each
        * sum(denoising_steps(level, bench.generator.steps) for level in levels),
        judges=_spread(bench, said) if said else None,
        photos=[_photo(bench, said, row) for row in hardest(bench, said).tolist()],
    )


def hardest(bench: Bench, said: OutOfFoldPredictions | None) -> Ints:
    """Hard rows, the least sure first; without judges by class, the smallest first."""
    order = (
        bench.counts[bench.train.labels[bench.hard]]
        if said is None
        else said.probability[bench.hard]
    )
    return bench.hard[np.argsort(order, kind="stable")]


def _classes(bench: Bench, said: OutOfFoldPredictions | None) -> list[HardClass]:
    labels = bench.train.labels
    may = allowed(bench)
    hard = np.bincount(labels[bench.hard], minlength=len(bench.dataset.classes))
    found = []
    for label, name in enumerate(bench.dataset.classes):
        mine = np.flatnonzero(labels == label)
        median = round(float(np.median(said.probability[mine])), 6) if said and len(mine) else None
        found.append(
            HardClass(
                label,
                name,
                len(mine),
                int(hard[label]),
                bool(len(mine)) and not may[mine[0]],
                median,
            )
        )
    return found


def _spread(bench: Bench, said: OutOfFoldPredictions) -> Spread:
    judges = bench.hard_rule.judges
    left = said.probability[allowed(bench)]
    assert judges  # noqa: S101 - they have spoken
    return Spread(
        folder=str(judges.folder),
        folds=np.bincount(said.fold, minlength=judges.folds).tolist(),
        selected_by=bench.spec.select.metric,
        selected=judges.selected(),
        strange=int(said.strange.sum()),
        probabilities=quantiles(said.probability),
        hard_probabilities=quantiles(said.probability[bench.hard]),
        below={f"{mark:g}": int((left < mark).sum()) for mark in MARKS},
    )


def _photo(bench: Bench, said: OutOfFoldPredictions | None, row: int) -> HardPhoto:
    names = bench.dataset.classes
    train = bench.train
    words = (
        (names[said.guess[row]], round(float(said.probability[row]), 6), int(said.fold[row]))
        if said
        else (None, None, None)
    )
    return HardPhoto(str(train.ids[row]), names[train.labels[row]], *words)


def sheet(bench: Bench) -> Figure:
    """The hardest photos, a line a class; under each the class its judge saw and the probability it
    gave the true one.
    """
    said = bench.hard_rule.judges.judged if bench.hard_rule.judges else None
    order = hardest(bench, said)
    labels = bench.train.labels[order]
    shown = list(dict.fromkeys(labels.tolist()))[:ROWS]
    rows = []
    for label in shown:
        tiles = [
            Tile(np.asarray(bench.train.pixels[row]), _note(bench, said, row))
            for row in order[labels == label][:COLUMNS].tolist()
        ]
        rows.append((*tiles, *[Tile(None)] * (COLUMNS - len(tiles))))
    hidden = len(np.unique(labels)) - len(shown)
    legend = (
        [
            "under each photo: what a judge that had not seen it takes it for, and the probability"
            " it gives the class at the left"
        ]
        if said
        else []
    )
    return Figure(
        heads=("",) * COLUMNS,
        names=tuple(
            f"{bench.dataset.classes[label]} ({int((labels == label).sum())})" for label in shown
        ),
        rows=tuple(rows),
        legend=(
            (
                f"{len(order):,} of {len(bench.train):,} training photos are hard; in brackets:"
                " those of the class"
            ),
            *legend,
        )
        + ((f"{hidden} more classes have hard photos",) if hidden else ()),
    )


def _note(bench: Bench, said: OutOfFoldPredictions | None, row: int) -> str:
    if said is None:
        return ""
    odds = f"{said.probability[row]:.1%}"
    name = bench.dataset.classes[said.guess[row]]
    room = NOTE - len(odds) - 1
    return f"{name if len(name) <= room else name[: room - 1] + '…'} {odds}"
