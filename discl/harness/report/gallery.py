"""Pictures for the report: images of the bank between text and photo, and the photos runs are most
surely wrong about.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from discl.config.benchmark import Benchmark
from discl.core.conventions import id_test_split
from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.core.levels import PHOTO
from discl.core.result import Result
from discl.files.disk import home
from discl.harness.bank.spectrum import spectrum
from discl.harness.leaderboard.table import by_seed
from discl.harness.report.comparison import Comparison
from discl.harness.run.assembly import Bench
from discl.harness.run.mistakes import Misclassified, misclassified, worst_classes
from discl.harness.run.store import Store

PHOTOS = 8  # lines of the spectrum
LARGEST = 184  # pixels of a picture's longer side: twice its size on the page
MOST_CLASSES = 40  # lines of the table of kept images
CLASSES, MISTAKES = 3, 6  # of a run, of a class


class Shown(NamedTuple):
    """A picture of the bank."""

    uri: str  # "" where there is none
    note: str
    dropped: bool


class Gallery(NamedTuple):
    """The bank of a benchmark."""

    heads: list[str]
    rows: list[tuple[str, list[Shown]]]
    legend: str
    small: bool  # shown larger than they are
    levels: list[int]
    kept: list[tuple[str, int, list[int]]]  # class, wanted a level, kept by level
    threshold: str


class Mistake(NamedTuple):
    uri: str
    guess: str
    sure: str


class Worst(NamedTuple):
    name: str
    recall: str
    photos: list[Mistake]


class Failures(NamedTuple):
    """The worst classes of a run."""

    strategy: str
    seed: int
    small: bool
    classes: list[Worst]


class Pictures(NamedTuple):
    gallery: Gallery | None
    failures: list[Failures]


def pictures(spec: Benchmark, comparison: Comparison, store: Store, notes: list[str]) -> Pictures:
    """What can be shown on this machine; why something cannot goes into `notes`.

    Fetches, makes and trains nothing.
    """
    bench = Bench(spec)
    try:
        if not bench.dataset.ready:
            notes.append(
                "no pictures: the photos are not on this machine (discl data fetch"
                f" {spec.dataset['name']})"
            )
            return Pictures(None, [])
        return Pictures(
            _gallery(bench, comparison, notes), _failures(bench, comparison, store, notes)
        )
    except UserError as error:
        notes.append(f"no pictures: {error}")
        return Pictures(None, [])
    finally:
        bench.close()


# ---------------------------------------------------------------- the bank


def _gallery(bench: Bench, comparison: Comparison, notes: list[str]) -> Gallery | None:
    wanted = comparison.board.comparability.get("bank")
    if wanted is None:
        return None  # nothing was trained on generated images
    if not (home() / "banks" / str(wanted)).is_dir():
        notes.append(f"no images of the bank: {wanted} is not on this machine")
        return None
    if bench.bank_id != wanted:
        notes.append(
            f"no images of the bank: the runs used {wanted}, the benchmark file now means"
            f" {bench.bank_id}"
        )
        return None
    figure = spectrum(bench, PHOTOS)
    rows = [
        (
            name,
            [
                Shown("" if tile.photo is None else uri(tile.photo), tile.note, tile.dropped)
                for tile in row
            ],
        )
        for name, row in zip(figure.names, figure.rows, strict=True)
    ]
    levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
    legend = "; ".join(
        [
            *(line.removeprefix("under each image: ") for line in figure.legend),
            *([figure.mark] if figure.mark else []),
        ]
    )
    small = bench.sources.photos.shape[2] < LARGEST // 2
    return Gallery(
        list(figure.heads),
        rows,
        legend,
        small,
        levels,
        _kept(bench, levels),
        f"{bench.spec.bank.threshold:g}",
    )


def _kept(bench: Bench, levels: Sequence[int]) -> list[tuple[str, int, list[int]]]:
    """Hard classes, those with fewest photos first."""
    classes = len(bench.dataset.classes)
    wanted = np.bincount(bench.sources.labels, minlength=classes) * bench.spec.bank.variants
    kept = {
        level: np.bincount(bench.train.labels[bench.level_images(level).row], minlength=classes)
        for level in levels
    }
    order = sorted(np.flatnonzero(wanted).tolist(), key=lambda label: int(bench.counts[label]))[
        :MOST_CLASSES
    ]
    return [
        (
            bench.dataset.classes[label],
            int(wanted[label]),
            [int(kept[level][label]) for level in levels],
        )
        for label in order
    ]


# ---------------------------------------------------------------- mistakes


def _failures(
    bench: Bench, comparison: Comparison, store: Store, notes: list[str]
) -> list[Failures]:
    """Of the strategy the headline is about, and of the baseline."""
    base = comparison.board.baselines[0] if comparison.board.baselines else None
    best = comparison.headline.best or next(
        (name for name in comparison.strategies if name != base), None
    )
    found = []
    for name in dict.fromkeys(filter(None, (best, base))):
        results = next(row.results for row in comparison.board.rows if row.strategy == name)
        run = middle(results, comparison.metric)
        folder = store.folder(run)
        if not (folder / "predictions.npz").is_file():
            notes.append(f"no mistakes of {name}: its predictions are not on this machine")
            continue
        found.append(_of_run(bench, run, store.predictions(folder)))
    return [each for each in found if each.classes]


def middle(results: Sequence[Result], metric: str) -> Result:
    """The run in the middle by a metric; of an even number the lower one."""
    known = by_seed(results, metric)
    order = sorted(results, key=lambda result: (known.get(result.seed, -1.0), result.seed))
    return order[(len(order) - 1) // 2]


def _of_run(bench: Bench, run: Result, predictions: dict[str, np.ndarray]) -> Failures:
    home = id_test_split(bench.dataset.splits)
    split = bench.dataset.split(home)
    worst = []
    for label in worst_classes(predictions, home, CLASSES):
        wrong = misclassified(predictions, home, label, MISTAKES)
        recall = run.class_recalls[label]
        told = "-" if recall is None else f"{100 * recall:.0f} %"
        worst.append(
            Worst(
                run.classes[label],
                told,
                [_mistake(one, run, np.asarray(split.pixels[one.row])) for one in wrong],
            )
        )
    return Failures(
        run.strategy,
        run.seed,
        split.pixels.shape[2] < LARGEST // 2,
        [each for each in worst if each.photos],
    )


def _mistake(one: Misclassified, run: Result, photo: Photos) -> Mistake:
    return Mistake(uri(photo), run.classes[one.predicted], f"{100 * one.confidence:.0f} % sure")


def uri(photo: Photos) -> str:
    """A picture inside the page: small ones without loss, larger ones made smaller."""
    picture = Image.fromarray(photo)
    buffer = io.BytesIO()
    small = max(picture.size) <= LARGEST
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    picture.save(buffer, "WEBP", lossless=small, quality=80, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
