"""The hard photos of a benchmark, as facts and as a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from discl.core.interfaces import FoldPredictions, Ints
from discl.core.levels import PHOTO
from discl.engine.hard_mining import in_one_fold, quantiles
from discl.files.figure import Figure, Tile
from discl.harness.run.assembly import Bench

MARKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
MOST_CLASSES = 24  # on the sheet
COLUMNS = 8  # photos of a class on the sheet
NOTE_LENGTH = 15  # letters under a photo


@dataclass(frozen=True)
class HardClass:
    """Hard photos of one class."""

    label: int
    class_name: str
    photos: int
    hard: int
    excluded: bool
    # of the true class, over all its photos; None without out-of-fold models
    median_probability: float | None


@dataclass(frozen=True)
class HardPhoto:
    """A hard photo, and its out-of-fold prediction where there is one."""

    id: str
    class_name: str
    predicted: str | None  # name of the most probable class
    probability: float | None  # of the true class
    fold: int | None


@dataclass(frozen=True)
class OutOfFoldSummary:
    """The out-of-fold models of a benchmark and what they predict of all training photos."""

    folder: str
    folds: list[int]  # photos of each
    metric: str  # select.metric
    validation: list[float | None]  # that metric on val, by model
    unseen_class: int  # photos of classes their model has not seen
    probabilities: dict[str, float]  # quantiles, all photos
    hard_probabilities: dict[str, float]  # quantiles, hard photos
    below: dict[str, int]  # threshold -> allowed photos with a lower probability


@dataclass(frozen=True)
class HardSummary:
    """Which training photos are hard, and how many images are made from them."""

    benchmark: str
    scale: str
    hard_rule: dict[str, object]  # its name and parameters
    training_photos: int
    hard_photos: int
    classes: list[HardClass]
    images: int  # in the bank, all levels together
    denoising_steps: int
    out_of_fold: OutOfFoldSummary | None  # None where the rule needs no models
    photos: list[HardPhoto]  # the least confident first


def summary(bench: Bench) -> HardSummary:
    """The hard photos; the models the rule needs must be trained."""
    spec = bench.spec
    predictions = bench.hard_photos.predictions
    levels = [level for level in spec.levels if level != PHOTO]
    costs = bench.costs(levels)
    return HardSummary(
        benchmark=spec.name,
        scale=spec.scale,
        hard_rule=dict(spec.hard_rule),
        training_photos=len(bench.train),
        hard_photos=len(bench.hard),
        classes=_classes(bench, predictions),
        images=int(costs["images"]),
        denoising_steps=int(costs["denoising_steps"]),
        out_of_fold=_out_of_fold(bench, predictions) if predictions else None,
        photos=[_photo(bench, predictions, row) for row in hardest(bench, predictions).tolist()],
    )


def hardest(bench: Bench, predictions: FoldPredictions | None) -> Ints:
    """Hard rows [m], the least confident first; without predictions the smallest class first."""
    if predictions is None:
        key = bench.counts[bench.train.labels[bench.hard]]
    else:
        key = predictions.probability[bench.hard]
    return bench.hard[np.argsort(key, kind="stable")]


def _classes(bench: Bench, predictions: FoldPredictions | None) -> list[HardClass]:
    labels = bench.train.labels
    allowed = bench.hard_photos.photos.allowed
    hard = np.bincount(labels[bench.hard], minlength=len(bench.dataset.classes))
    classes = []
    for label, name in enumerate(bench.dataset.classes):
        rows = np.flatnonzero(labels == label)
        excluded = bool(len(rows)) and not allowed[rows[0]]
        median = None
        if predictions and len(rows):
            median = round(float(np.median(predictions.probability[rows])), 6)
        classes.append(HardClass(label, name, len(rows), int(hard[label]), excluded, median))
    return classes


def _out_of_fold(bench: Bench, predictions: FoldPredictions) -> OutOfFoldSummary:
    models = bench.hard_photos.out_of_fold
    assert models  # noqa: S101 - there are predictions
    allowed = predictions.probability[bench.hard_photos.photos.allowed]
    return OutOfFoldSummary(
        folder=str(models.folder),
        folds=np.bincount(predictions.fold, minlength=models.models.folds).tolist(),
        metric=bench.spec.select.metric,
        validation=models.validation(),
        unseen_class=int(in_one_fold(bench.train.labels, predictions.fold).sum()),
        probabilities=quantiles(predictions.probability),
        hard_probabilities=quantiles(predictions.probability[bench.hard]),
        below={f"{mark:g}": int((allowed < mark).sum()) for mark in MARKS},
    )


def _photo(bench: Bench, predictions: FoldPredictions | None, row: int) -> HardPhoto:
    names = bench.dataset.classes
    id = str(bench.train.ids[row])
    name = names[bench.train.labels[row]]
    if predictions is None:
        return HardPhoto(id, name, None, None, None)
    return HardPhoto(
        id,
        name,
        predicted=names[predictions.label[row]],
        probability=round(float(predictions.probability[row]), 6),
        fold=int(predictions.fold[row]),
    )


def sheet(bench: Bench) -> Figure:
    """The hardest photos, a line a class.

    Under each stand the class its out-of-fold model predicts and the probability of the true class.
    """
    predictions = bench.hard_photos.predictions
    rows = hardest(bench, predictions)
    labels = bench.train.labels[rows]
    shown = list(dict.fromkeys(labels.tolist()))[:MOST_CLASSES]
    names = []
    lines = []
    for label in shown:
        of_class = rows[labels == label].tolist()
        tiles = [
            Tile(np.asarray(bench.train.pixels[row]), _note(bench, predictions, row))
            for row in of_class[:COLUMNS]
        ]
        names.append(f"{bench.dataset.classes[label]} ({len(of_class)})")
        lines.append((*tiles, *[Tile(None)] * (COLUMNS - len(tiles))))
    legend = [
        f"{len(rows):,} of {len(bench.train):,} training photos are hard; in brackets: those of the"
        " class"
    ]
    if predictions:
        legend.append(
            "under each photo: the class that a model which has not seen it predicts, and the"
            " probability it gives the class at the left"
        )
    if hidden := len(np.unique(labels)) - len(shown):
        legend.append(f"{hidden} more classes have hard photos")
    return Figure(("",) * COLUMNS, tuple(names), tuple(lines), tuple(legend))


def _note(bench: Bench, predictions: FoldPredictions | None, row: int) -> str:
    if predictions is None:
        return ""
    probability = f"{predictions.probability[row]:.1%}"
    name = bench.dataset.classes[predictions.label[row]]
    room = NOTE_LENGTH - len(probability) - 1
    if len(name) > room:
        name = name[: room - 1] + "…"
    return f"{name} {probability}"
