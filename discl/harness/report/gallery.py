"""Pictures of the report: images of the bank, and the most confident mistakes of runs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from discl.config.benchmark import Benchmark
from discl.config.identity import which_are_kept
from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.core.levels import PHOTO
from discl.core.result import Result
from discl.core.text import typed
from discl.engine.evaluation.confusion import predictions_digest
from discl.files.disk import home
from discl.files.figure import Tile
from discl.harness.bank.source_size import sentences, source_sizes
from discl.harness.bank.spectrum import spectrum
from discl.harness.leaderboard.table import by_seed
from discl.harness.report.comparison import Comparison
from discl.harness.report.tables.confusions import confusions
from discl.harness.report.tables.group_scores import shown_strategies
from discl.harness.run.assembly import Bench
from discl.harness.run.mistakes import Misclassified, misclassified, surest, worst_classes
from discl.harness.run.store import Store

BANK_PHOTOS = 8  # lines of the spectrum
LARGEST = 184  # pixels of a picture's longer side: twice its size on the page
MOST_CLASSES = 40  # lines of the table of kept images
WORST_CLASSES = 3  # of a run
MISTAKES = 6  # of a class


class GalleryTile(NamedTuple):
    """A picture of the bank."""

    uri: str  # "" where there is none
    note: str
    dropped: bool


class Gallery(NamedTuple):
    """The bank of a benchmark."""

    heads: list[str]
    rows: list[tuple[str, list[GalleryTile]]]
    legend: str
    small: bool  # shown larger than they are
    levels: list[int]
    kept: list[tuple[str, int, list[int]]]  # (class, wanted at each level, kept by level)
    threshold: str
    source: str  # sentences: at which size they are made from the photos


class MistakePicture(NamedTuple):
    """A misclassified photo."""

    uri: str
    guess: str  # name of the predicted class
    sure: str


class WorstClass(NamedTuple):
    """A class with low recall, and its most confident mistakes."""

    name: str
    recall: str
    photos: list[MistakePicture]


class RunMistakes(NamedTuple):
    """The worst classes of a run."""

    strategy: str
    seed: int
    small: bool
    classes: list[WorstClass]


class PairPicture(NamedTuple):
    """A photo that is called another class, beside one of that class; "" where there is none."""

    mistaken: str
    of_guess: str


class Pictures(NamedTuple):
    """The pictures of one benchmark."""

    gallery: Gallery | None
    failures: list[RunMistakes]
    pairs: dict[tuple[int, int], PairPicture]  # by true and predicted label


def pictures(spec: Benchmark, comparison: Comparison, store: Store, notes: list[str]) -> Pictures:
    """The pictures that can be shown on this machine; the reasons for others go into `notes`.

    Nothing is fetched, made or trained.
    """
    bench = Bench(spec)
    try:
        if not bench.dataset.ready:
            notes.append(
                "no pictures: the photos are not on this machine"
                f" ({typed('discl', 'data', 'fetch', spec.dataset['name'])})"
            )
            return Pictures(None, [], {})
        gallery = _gallery(bench, comparison, notes)
        runs = _runs(comparison, store, notes)
        failures = [_of_run(bench, run, predictions) for run, predictions in runs]
        return Pictures(
            gallery,
            [of_run for of_run in failures if of_run.classes],
            _pairs(bench, comparison, *runs[0]) if runs else {},
        )
    except UserError as error:
        notes.append(f"no pictures: {error}")
        return Pictures(None, [], {})
    finally:
        bench.close()


# ---------------------------------------------------------------- the bank


def _gallery(bench: Bench, comparison: Comparison, notes: list[str]) -> Gallery | None:
    bank = comparison.board.comparability.get("bank")
    if bank is None:
        return None  # nothing was trained on generated images
    if not (home() / "banks" / str(bank)).is_dir():
        notes.append(f"no images of the bank: {bank} is not on this machine")
        return None
    if bench.bank_id != bank:
        notes.append(
            f"no images of the bank: the runs used {bank}, the benchmark file means {bench.bank_id}"
        )
        return None
    figure = spectrum(bench, BANK_PHOTOS)
    levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
    legend = [line.removeprefix("under each image: ") for line in figure.legend]
    legend += [figure.mark] if figure.mark else []
    return Gallery(
        heads=list(figure.heads),
        rows=[
            (name, [_gallery_tile(tile) for tile in row])
            for name, row in zip(figure.names, figure.rows, strict=True)
        ],
        legend="; ".join(legend),
        small=bench.sources.photos.shape[2] < LARGEST // 2,
        levels=levels,
        kept=_kept(bench, levels),
        threshold=which_are_kept(bench.spec.bank.threshold),
        source=" ".join(sentences(source_sizes(bench))),
    )


def _gallery_tile(tile: Tile) -> GalleryTile:
    return GalleryTile("" if tile.photo is None else uri(tile.photo), tile.note, tile.dropped)


def _kept(bench: Bench, levels: Sequence[int]) -> list[tuple[str, int, list[int]]]:
    """Hard classes, those with fewest photos first."""
    classes = len(bench.dataset.classes)
    wanted = np.bincount(bench.sources.labels, minlength=classes) * bench.spec.bank.variants
    kept = [
        np.bincount(bench.train.labels[bench.level_images(level).row], minlength=classes)
        for level in levels
    ]
    hard = np.flatnonzero(wanted).tolist()
    smallest = sorted(hard, key=lambda label: int(bench.counts[label]))[:MOST_CLASSES]
    return [
        (
            bench.dataset.classes[label],
            int(wanted[label]),
            [int(of_level[label]) for of_level in kept],
        )
        for label in smallest
    ]


# ---------------------------------------------------------------- mistakes


def _runs(
    comparison: Comparison, store: Store, notes: list[str]
) -> list[tuple[Result, Mapping[str, Any]]]:
    """The middle runs of the strategy of the headline and of the baseline, with predictions."""
    found: list[tuple[Result, Mapping[str, Any]]] = []
    for name in shown_strategies(comparison):
        results = next(row.results for row in comparison.board.rows if row.strategy == name)
        run = middle_run(results, comparison.metric)
        folder = store.folder(run)
        if not (folder / run.predictions_file).is_file():
            notes.append(f"no mistakes of {name}: its predictions are not on this machine")
            continue
        predictions = store.predictions(folder, run.predictions_file)
        if predictions_digest(predictions) != run.predictions:
            notes.append(f"no mistakes of {name}: the run on this machine is another one")
            continue
        found.append((run, predictions))
    return found


def _pairs(
    bench: Bench, comparison: Comparison, run: Result, predictions: Mapping[str, Any]
) -> dict[tuple[int, int], PairPicture]:
    """Of each pair of the table: the surest mistake, and the surest photo of the other class."""
    table = confusions(comparison)
    name = id_test_split(bench.dataset.splits)
    pixels = bench.dataset.split(name).pixels
    return {
        (pair.truth, pair.guess): PairPicture(
            *(
                "" if row is None else uri(np.asarray(pixels[row]))
                for row in (
                    surest(predictions, name, pair.truth, pair.guess),
                    surest(predictions, name, pair.guess, pair.guess),
                )
            )
        )
        for pair in (table.pairs if table and run.strategy == table.shown[0] else ())
    }


def middle_run(results: Sequence[Result], metric: str) -> Result:
    """The run in the middle by a metric; of an even number the lower one."""
    values = by_seed(results, metric)
    order = sorted(results, key=lambda result: (values.get(result.seed, -1.0), result.seed))
    return order[(len(order) - 1) // 2]


def _of_run(bench: Bench, run: Result, predictions: Mapping[str, Any]) -> RunMistakes:
    name = id_test_split(bench.dataset.splits)
    split = bench.dataset.split(name)
    worst = []
    for label in worst_classes(predictions, name, WORST_CLASSES):
        mistakes = [
            _mistake(wrong, run, np.asarray(split.pixels[wrong.row]))
            for wrong in misclassified(predictions, name, label, MISTAKES)
        ]
        if mistakes:
            recall = run.class_recalls[label]
            percent = "-" if recall is None else f"{100 * recall:.0f} %"
            worst.append(WorstClass(run.classes[label], percent, mistakes))
    return RunMistakes(run.strategy, run.seed, split.pixels.shape[2] < LARGEST // 2, worst)


def _mistake(wrong: Misclassified, run: Result, photo: Photos) -> MistakePicture:
    sure = f"{100 * wrong.confidence:.0f} % sure"
    return MistakePicture(uri(photo), run.classes[wrong.predicted], sure)


def uri(photo: Photos) -> str:
    """A photo [h, w, 3] as a data URI: small ones without loss, larger ones made smaller."""
    picture = Image.fromarray(photo)
    buffer = io.BytesIO()
    small = max(picture.size) <= LARGEST
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    picture.save(buffer, "WEBP", lossless=small, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
