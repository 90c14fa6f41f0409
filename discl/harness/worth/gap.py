"""Measures the gap curve: what the images of each level are worth alone, beside real photos.

It answers how far a generator's images are from the benchmark's photos, before a curriculum is
run. What is hard decides which classes have images, so the classifiers tell those classes apart and
no others: with images of the tail alone, there is nothing that the other classes could be learned
from. Val is dealt in two halves by each seed: one is measured on, the other gives the ceiling as
many real photos as there are images of a level. Test is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Floats, Ints, Progress
from discl.core.levels import PHOTO
from discl.engine.level_images import LevelImages
from discl.files.photos import PhotoRows
from discl.harness.bank.quality.by_class_and_level import embedding_name, images_of_level
from discl.harness.bank.quality.distance import Distance, class_distance, mean_distance
from discl.harness.bank.quality.gap_curve import SCHEMA, GapCurve, GapRow, Interval
from discl.harness.bank.quality.measure import bank_embeddings
from discl.harness.leaderboard import statistics
from discl.harness.run.assembly import Bench
from discl.harness.worth.classifier import PictureClassifier, PictureSet

LEAST = 2  # images of a class at each level, and val photos in each half
HARD = PHOTO  # the row of the hard photos
OTHER = -1  # beside the levels: other real photos


class GapSettings(NamedTuple):
    """How long and how often is trained."""

    seeds: tuple[int, ...] = (0, 1, 2)
    steps: int = 100  # of each classifier, about


DEFAULT_SETTINGS = GapSettings()


class _Draw(NamedTuple):
    """What the classifiers of one seed see."""

    learned: dict[int, PictureSet]  # by level, HARD or OTHER
    measured: PictureSet


class GapMeasurement:
    """The gap curve of a benchmark's bank as it stands; makes no image."""

    def __init__(self, bench: Bench, settings: GapSettings = DEFAULT_SETTINGS) -> None:
        """Raises UserError where fewer than two classes can be told apart by their images."""
        self.bench = bench
        self.settings = settings
        if bench.sources.have_targets:
            raise UserError(
                f"no gap curve of {bench.spec.name}: prompts.name = {bench.spec.prompts['name']!r}"
                " edits photos towards other classes, and the curve compares images with photos of"
                " their one class; take other prompts, such as 'dataset'"
            )
        held = bench.bank.count()
        levels = [
            level for level in sorted(bench.spec.levels) if level != PHOTO and held.get(level)
        ]
        self.images: dict[int, LevelImages] = {
            level: images for level in levels if len((images := bench.level_images(level)).row)
        }
        self.val = bench.dataset.split("val")
        candidates = np.unique(bench.train.labels[bench.hard]) if self.images else np.empty(0, int)
        self.labels: Ints = np.array(
            [label for label in candidates if self._pictures_of(int(label)) >= LEAST], np.int64
        )
        self.left_out: Ints = np.setdiff1d(candidates, self.labels)
        if len(self.labels) < 2:
            raise UserError(
                f"no gap curve of {bench.spec.name}: {len(self.labels)} of {len(candidates)} hard"
                f" classes have {LEAST} images that are used at every level and {2 * LEAST} val"
                " photos, and telling classes apart takes two; build more of the bank, or have"
                " more classes be hard, e.g. by a larger hard_rule.max_class_images"
            )

    def _images_of(self, level: int, label: int) -> Ints:
        """Positions among the used images of a level [n] of those of a class."""
        return np.flatnonzero(self.bench.train.labels[self.images[level].row] == label)

    def _pictures_of(self, label: int) -> int:
        """PictureSet of a class that every classifier may see: as many for all of them."""
        made = [len(self._images_of(level, label)) for level in self.images]
        half = int((self.val.labels == label).sum()) // 2
        return min([*made, half])

    @cached_property
    def classifier(self) -> PictureClassifier:
        return PictureClassifier(self.bench, self.labels, self.settings.steps)

    @property
    def kinds(self) -> list[int]:
        """Levels, HARD and OTHER, in the order of the rows."""
        return [*self.images, HARD, OTHER]

    def todo(self) -> int:
        """Classifiers that are not trained yet."""
        draws = [(seed, self._draw(seed)) for seed in self.settings.seeds]
        return sum(
            not self.classifier.is_known(learned, draw.measured, seed)
            for seed, draw in draws
            for learned in draw.learned.values()
        )

    def curve(self, progress: Progress) -> GapCurve:
        """Train what is not trained yet, and put the curve together.

        Classifiers that are trained are kept, so a stopped measurement goes on where it was.
        """
        scores: dict[int, list[float]] = {kind: [] for kind in self.kinds}
        different: dict[int, int] = {}
        self.bench.inputs.prepare(list(self.images), progress)
        total = len(self.settings.seeds) * len(self.kinds)
        for index, seed in enumerate(self.settings.seeds):
            draw = self._draw(seed)
            for number, (kind, learned) in enumerate(draw.learned.items()):
                progress("training on one level alone", index * len(self.kinds) + number, total)
                scores[kind].append(self.classifier.accuracy(learned, draw.measured, seed))
                different[kind] = len(set(learned.names))
            measured = len(draw.measured.labels)
        progress("training on one level alone", total, total)
        distances = self._distances(progress)
        scorer = self.bench.spec.scorer
        words = [str(scorer["name"]), *(str(scorer[key]) for key in ("model",) if key in scorer)]
        counts = [self._pictures_of(int(label)) for label in self.labels]
        names = self.bench.dataset.classes
        return GapCurve(
            schema=SCHEMA,
            bank=self.bench.bank.id,
            classes=tuple(names[label] for label in self.labels),
            left_out=tuple(names[label] for label in self.left_out),
            chance=1 / len(self.labels),
            pictures=(min(counts), max(counts)),
            measured=measured,
            seeds=self.settings.seeds,
            steps=self.classifier.steps,
            batch=self.classifier.config.batch,
            features=" ".join(words),
            rows=tuple(self._row(kind, scores, different, distances) for kind in self.kinds),
        )

    def _row(
        self,
        kind: int,
        scores: Mapping[int, list[float]],
        different: Mapping[int, int],
        distances: Mapping[int, Distance | None],
    ) -> GapRow:
        words = {HARD: "the hard photos", OTHER: "other real photos"}
        lacking = [real - own for real, own in zip(scores[OTHER], scores[kind], strict=True)]
        distance = distances[kind]
        return GapRow(
            pictures=words.get(kind, f"images of level {kind}"),
            level=None if kind == OTHER else kind,
            different=different[kind],
            accuracy=_interval(scores[kind]),
            by_seed=tuple(round(score, 6) for score in scores[kind]),
            gap=None if kind == OTHER else _interval(lacking),
            distance=distance and round(distance.value, 6),
            distance_error=distance and distance.error and round(distance.error, 6),
        )

    # ------------------------------------------------------------ who sees what

    def _draw(self, seed: int) -> _Draw:
        """The pictures of one seed; the same number of a class for every classifier.

        There are fewer hard photos than images of them, so these come more often.
        """
        rng = np.random.default_rng([seed, len(self.labels)])
        rows: dict[int, list[Ints]] = {kind: [] for kind in self.kinds}
        measured: list[Ints] = []
        for label in self.labels:
            count = self._pictures_of(int(label))
            val = rng.permutation(np.flatnonzero(self.val.labels == label))
            half = len(val) // 2
            rows[OTHER].append(val[:half][:count])
            measured.append(val[half:])
            hard = self.bench.hard[self.bench.train.labels[self.bench.hard] == label]
            rows[HARD].append(rng.permutation(hard)[:count])
            for level in self.images:
                rows[level].append(rng.permutation(self._images_of(level, int(label)))[:count])
        learned = {
            level: self._level_pictures(level, np.concatenate(rows[level])) for level in self.images
        }
        learned[HARD] = self._photos("train", np.concatenate(rows[HARD]))
        learned[OTHER] = self._photos("val", np.concatenate(rows[OTHER]))
        return _Draw(learned, self._photos("val", np.concatenate(measured)))

    def _photos(self, split: str, rows: Ints) -> PictureSet:
        photos = self.bench.inputs.split(split)
        contents = photos.contents
        names = photos.ids[rows].tolist()
        if contents is not None:
            names = [
                f"{name} {bytes(contents[row])!r}" for name, row in zip(names, rows, strict=True)
            ]
        return PictureSet(
            PhotoRows.of(photos.pixels, rows), self._numbered(photos.labels[rows]), tuple(names)
        )

    def _level_pictures(self, level: int, chosen: Ints) -> PictureSet:
        images = self.images[level]
        positions = images.position[chosen]
        names = self._contents[level]
        return PictureSet(
            PhotoRows.of(self.bench.inputs.level(level), positions),
            self._numbered(self.bench.train.labels[images.row[chosen]]),
            tuple(names[position] for position in positions),
        )

    @cached_property
    def _contents(self) -> dict[int, list[str]]:
        """Level -> SHA-256 of each image of the bank."""
        return {
            level: [record.sha256 for record in self.bench.bank.records(level)]
            for level in self.images
        }

    def _numbered(self, labels: Ints) -> Ints:
        """Labels [n] of the benchmark as those of the classifiers."""
        return np.searchsorted(self.labels, labels)

    # ------------------------------------------------------------ distances

    def _distances(self, progress: Progress) -> dict[int, Distance | None]:
        by_level = {level: images_of_level(self.bench, level) for level in self.images}
        vectors = bank_embeddings(self.bench, by_level, ("train", "val"), progress)
        found: dict[int, Distance | None] = {}
        for kind in self.kinds:
            by_class = [self._class_distance(kind, int(label), vectors) for label in self.labels]
            found[kind] = mean_distance([each for each in by_class if each is not None])
        return found

    def _class_distance(
        self, kind: int, label: int, vectors: Mapping[str, Floats]
    ) -> Distance | None:
        photos = np.flatnonzero(self.val.labels == label)
        if kind == OTHER:  # val against itself: what chance gives
            photos = np.random.default_rng(label).permutation(photos)
            chosen, photos = np.array_split(photos, 2)
            own, sources = vectors["val"][chosen], chosen
        elif kind == HARD:
            sources = self.bench.hard[self.bench.train.labels[self.bench.hard] == label]
            own = vectors["train"][sources]
        else:
            images, chosen = self.images[kind], self._images_of(kind, label)
            sources = images.row[chosen]
            own = vectors[embedding_name(kind)][images.position[chosen]]
        return class_distance(np.asarray(own), sources, np.asarray(vectors["val"][photos]))


def _interval(scores: Sequence[float]) -> Interval:
    mean, half_width, _ = statistics.estimate(scores)
    return Interval(round(mean, 6), None if half_width is None else round(half_width, 6))
