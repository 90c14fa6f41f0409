"""Measures the quality of a bank's images; makes no image, and reads no label of test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import Floats, Ints, Photos, Progress
from discl.core.levels import PHOTO
from discl.core.text import typed
from discl.harness.bank.quality.by_class_and_level import (
    IMAGE_COLUMNS,
    ImageTable,
    StatsByClassAndLevel,
    embedding_name,
    example_images,
    images_of_level,
    level_scores,
    mean,
    rounded,
)
from discl.harness.bank.quality.embeddings import EmbeddingInput, anchors, embedded
from discl.harness.bank.quality.linear_probe import FOLDS, RidgeProbe, class_folds
from discl.harness.bank.quality.neighbours import Nearest, nearest, nearest_is_own, spread
from discl.harness.bank.quality.quality_report import (
    SCHEMA,
    LabelClassifiers,
    NearDuplicate,
    NearDuplicates,
    QualityReport,
    RealClassStats,
)
from discl.harness.bank.quality.warnings import warnings_of
from discl.harness.run.assembly import Bench
from discl.version import __version__


class QualityLimits(NamedTuple):
    """Thresholds for few and for near, and how much is listed."""

    few: int = 5  # kept images of a class and level
    quantile: float = 0.999  # of real training photos that lie further from val, test and ood
    listed: int = 24  # near-duplicates shown


DEFAULT_LIMITS = QualityLimits()


def measure_quality(
    bench: Bench, progress: Progress, limits: QualityLimits = DEFAULT_LIMITS
) -> QualityReport:
    """The report on a benchmark's bank as it stands.

    Photos and images that were not embedded before are embedded, which can take long.
    """
    levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
    by_level = {level: images_of_level(bench, level) for level in levels}
    images = np.concatenate(
        [np.empty(0, IMAGE_COLUMNS), *(of_level for of_level, _ in by_level.values())]
    )
    _check(bench, images)
    vectors = bank_embeddings(bench, by_level, bench.dataset.splits, progress)
    measurement = QualityMeasurement(bench, images, vectors, progress)
    near = measurement.mark_near(limits)
    stats = StatsByClassAndLevel(bench, images, measurement.vectors)
    total = stats.of(None, None)
    by_class_and_level = tuple(stats.of(level, label) for label in stats.labels for level in levels)
    real = tuple(measurement.real_class(label) for label in stats.labels)
    bank = bench.spec.bank
    return QualityReport(
        schema=SCHEMA,
        discl=__version__,
        benchmark=bench.spec.name,
        scale=bench.spec.scale,
        bank=bench.bank.id,
        variants=bank.variants,
        best_of=bank.best_of,
        threshold=bank.threshold,
        few=limits.few,
        warnings=tuple(warnings_of(total, by_class_and_level, real, near, limits.few)),
        total=total,
        levels=tuple(stats.of(level, None) for level in levels),
        by_class_and_level=by_class_and_level,
        scores=tuple(level_scores(images)),
        real=real,
        classifiers=measurement.classifiers,
        near_duplicates=near,
        examples=tuple(example_images(bench, images)),
    )


# ---------------------------------------------------------------- the images of the bank


def _check(bench: Bench, images: ImageTable) -> None:
    """Refuse a bank that is empty or has no scores.

    Raises UserError.
    """
    if not len(images) and bench.bank.failures() and not bench.bank.count():
        raise bench.bank.no_image()
    if not len(images):
        raise UserError(
            f"the bank {bench.bank.folder} holds no image of this benchmark; run"
            f" `{typed('discl', 'bank', 'build', bench.spec.name)}` first"
        )
    if np.isnan(images["text"]).all():
        raise UserError(
            f"no image in {bench.bank.folder} has a score, so nothing can be said of thresholds;"
            f" move that folder away and run `{typed('discl', 'bank', 'build', bench.spec.name)}`"
            " with a scorer, such as --set scorer.name=open_clip"
        )


def bank_embeddings(
    bench: Bench,
    by_level: Mapping[int, tuple[ImageTable, str]],
    splits: Sequence[str],
    progress: Progress,
) -> dict[str, Floats]:
    """Embeddings [n, d], by name, of every level that has images and split that has photos."""
    scorer = bench.bank.process["scorer"]
    data = bench.spec.part("datasets").identity() | bench.dataset.identity()
    inputs = [
        EmbeddingInput(embedding_name(level), [scorer, content], bench.bank.pixels(level))
        for level, (images, content) in by_level.items()
        if len(images)
    ]
    for name in splits:
        split = bench.dataset.split(name)
        if len(split):
            content = [scorer, data, digest(split.ids.tolist())]
            inputs.append(EmbeddingInput(name, content, split.pixels))
    return embedded(inputs, bench.scorer, bench.bank.folder / "cache", progress)


# ---------------------------------------------------------------- what the embeddings show


@dataclass
class QualityMeasurement:
    """Real photos and images as vectors, and what follows; fills in the columns of `images`."""

    bench: Bench
    images: ImageTable
    vectors: dict[str, Floats]  # unit vectors [n, d] by the name of a level or split
    progress: Progress

    def __post_init__(self) -> None:
        """Classify the images."""
        for level in np.unique(self.images["level"]).tolist():
            selected = np.flatnonzero(self.images["level"] == level)
            rows = self.images[selected]
            vectors = np.asarray(self.vectors[embedding_name(level)][rows["position"]])
            # an image is classified by the fit that has not seen the photo it was made from
            fold = self.fold[self.bench.hard[rows["source"]]]
            labels = rows["target"]
            self.images["probe"][selected] = self.probe.predict(vectors, fold) == labels
            self.images["caption"][selected] = nearest_is_own(vectors, self.anchors, labels)

    @cached_property
    def real(self) -> tuple[Floats, Ints]:
        """Vectors [n, d] and labels [n] of train, then val."""
        splits = [name for name in ("train", "val") if name in self.vectors]
        vectors = np.concatenate([self.vectors[name] for name in splits])
        return vectors, np.concatenate([self.bench.dataset.split(name).labels for name in splits])

    @cached_property
    def fold(self) -> Ints:
        """The fold [n] of each real photo of train, then val."""
        return class_folds(self.real[1])

    @cached_property
    def probe(self) -> RidgeProbe:
        return RidgeProbe(*self.real, len(self.bench.dataset.classes), self.fold)

    @cached_property
    def anchors(self) -> Floats:
        """Unit vectors [c, d] of the captions of each class."""
        bench = self.bench
        captions = [bench.dataset.prompts(label) for label in range(len(bench.dataset.classes))]
        return anchors(
            captions, bench.scorer, bench.bank.process["scorer"], bench.bank.folder / "cache"
        )

    @cached_property
    def right(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether probe and captions are right [n] about each real photo of train, then val."""
        vectors, labels = self.real
        by_probe = self.probe.predict(vectors, self.fold) == labels
        return by_probe, nearest_is_own(vectors, self.anchors, labels)

    @property
    def classifiers(self) -> LabelClassifiers:
        """How often the two classifiers are right about real photos."""
        probe, caption = self.right
        labels = self.real[1]
        val = slice(len(self.bench.train), None)
        hard = self.bench.hard
        recalls = [probe[val][labels[val] == label].mean() for label in np.unique(labels[val])]
        return LabelClassifiers(
            FOLDS,
            mean(probe[val]),
            mean(np.array(recalls)),
            mean(probe[hard]),
            mean(caption[val]),
            mean(caption[hard]),
        )

    def real_class(self, label: int) -> RealClassStats:
        """The figures of a class's real photos."""
        vectors, labels = self.real
        rows = np.flatnonzero(labels == label)
        train = rows[rows < len(self.bench.train)]
        val = rows[rows >= len(self.bench.train)]
        hard = np.intersect1d(self.bench.hard, train)
        probe, caption = self.right
        return RealClassStats(
            label,
            self.bench.dataset.classes[label],
            len(hard),
            len(rows),
            mean(probe[hard]),
            mean(caption[hard]),
            mean(probe[val]),
            rounded(spread(vectors[train])),
        )

    def mark_near(self, limits: QualityLimits) -> NearDuplicates:
        """Find images nearer to a val, test or ood photo than nearly all real training photos."""
        others = [
            name for name in self.vectors if name in self.bench.dataset.splits and name != "train"
        ]
        if not others:
            return NearDuplicates(
                limits.quantile, None, len(self.bench.train), len(self.images), 0, 0, {}, ()
            )
        levels = np.unique(self.images["level"]).tolist()
        queries = [self.vectors["train"]]
        queries += [self.vectors[embedding_name(level)] for level in levels]
        of_train, *of_levels = self._nearest(queries, others)
        for level, (cosine, split, row) in zip(levels, of_levels, strict=True):
            selected = np.flatnonzero(self.images["level"] == level)
            positions = self.images["position"][selected]
            self.images["near"][selected] = cosine[positions]
            self.images["near_split"][selected] = split[positions]
            self.images["near_row"][selected] = row[positions]
        limit = float(np.quantile(of_train[0], limits.quantile, method="higher"))
        self.images["copy"] = self.images["near"] > limit
        return self._near_duplicates(limits, limit, others)

    def _nearest(
        self, queries: Sequence[Floats], others: Sequence[str]
    ) -> list[tuple[Floats, Ints, Ints]]:
        """(cosine, number of the split, row in it) of the photo of `others` nearest each query."""
        best = [
            (np.full(len(vectors), -np.inf, np.float32), *np.zeros((2, len(vectors)), np.int64))
            for vectors in queries
        ]
        for number, name in enumerate(others):
            self.progress("comparing with val, test and ood", number, len(others))
            for vectors, (cosine, split, row) in zip(queries, best, strict=True):
                _improve(nearest(vectors, self.vectors[name]), number, cosine, split, row)
        self.progress("comparing with val, test and ood", len(others), len(others))
        return best

    def _near_duplicates(
        self, limits: QualityLimits, limit: float, others: Sequence[str]
    ) -> NearDuplicates:
        copies = self.images[self.images["copy"]]
        order = np.lexsort((copies["variant"], copies["source"], copies["level"], -copies["near"]))
        by_split = {name: int((copies["near_split"] == i).sum()) for i, name in enumerate(others)}
        return NearDuplicates(
            quantile=limits.quantile,
            cosine_limit=rounded(limit),
            train_photos=len(self.bench.train),
            images=len(self.images),
            found=len(copies),
            found_kept=int(copies["kept"].sum()),
            by_split={name: count for name, count in by_split.items() if count},
            listed=tuple(
                self._near_duplicate(row, others[int(row["near_split"])])
                for row in copies[order][: limits.listed]
            ),
        )

    def _near_duplicate(self, image: Any, name: str) -> NearDuplicate:
        bench = self.bench
        row = int(image["near_row"])
        level = int(image["level"])
        split = bench.dataset.split(name)
        source = self.vectors["train"][bench.hard[image["source"]]]
        pixels = bench.bank.pixels(level)[image["position"]]
        return NearDuplicate(
            level=level,
            source=bench.sources.ids[image["source"]],
            variant=int(image["variant"]),
            kept=bool(image["kept"]),
            class_name=bench.dataset.classes[image["label"]],
            split=name,
            photo_id=str(split.ids[row]),
            cosine=round(float(image["near"]), 6),
            source_cosine=round(float(source @ self.vectors[name][row]), 6),
            pixel_difference=pixel_difference(pixels, split.pixels[row]),
        )


def _improve(candidates: Nearest, number: int, cosine: Floats, split: Ints, row: Ints) -> None:
    """Enter the neighbours in split `number` where they are nearer than those known so far."""
    better = candidates.cosine > cosine
    cosine[better] = candidates.cosine[better]
    split[better] = number
    row[better] = candidates.row[better]


def pixel_difference(image: Photos, photo: Photos) -> float:
    """Mean absolute difference of two pictures [h, w, 3] as 16 x 16 greys in [0, 1]."""
    return round(float(np.abs(_greys(image) - _greys(photo)).mean()), 6)


def _greys(photo: Photos) -> NDArray[np.float64]:
    small = Image.fromarray(photo).convert("L").resize((16, 16), Image.Resampling.BOX)
    return np.asarray(small, float) / 255
