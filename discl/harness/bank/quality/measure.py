"""Measures the quality of a bank's images; makes no image, and reads no label of test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import Floats, Ints, Photos, Progress
from discl.core.levels import PHOTO
from discl.harness.bank.quality.by_class_and_level import (
    COLUMNS,
    Lots,
    Table,
    examples,
    mean,
    rounded,
    scores,
    stack_name,
    table,
)
from discl.harness.bank.quality.embeddings import Stack, anchors, embedded
from discl.harness.bank.quality.facts import (
    SCHEMA,
    Duplicate,
    Duplicates,
    Judges,
    Quality,
    RealClass,
)
from discl.harness.bank.quality.vectors import (
    FOLDS,
    Nearest,
    RidgeProbe,
    Truths,
    folds,
    nearest,
    nearest_is_own,
    spread,
)
from discl.harness.bank.quality.warnings import concerns
from discl.harness.run.assembly import Bench
from discl.version import __version__


class Limits(NamedTuple):
    """What counts as little, as near, and as enough to show."""

    few: int = 5  # kept images of a class and level
    quantile: float = 0.999  # of real training photos that lie further from val, test and ood
    listed: int = 24  # near-duplicates shown


def inspect(bench: Bench, progress: Progress, limits: Limits = Limits()) -> Quality:  # noqa: B008 - immutable
    """The report on a benchmark's bank as it stands.

    Embeds what was not embedded before, which can take long.
    """
    found = {level: table(bench, level) for level in sorted(bench.spec.levels) if level != PHOTO}
    images = np.concatenate([np.empty(0, COLUMNS), *(made for made, _ in found.values())])
    _check(bench, images)
    seen = Inspection(bench, images, _embedded(bench, found, progress), progress)
    near = seen.mark_near(limits)
    lots = Lots(bench, images, seen.vectors)
    levels = tuple(lots.of(level, None) for level in found)
    each = tuple(lots.of(level, label) for label in lots.labels for level in found)
    real = tuple(seen.real_class(label) for label in lots.labels)
    bank = bench.spec.bank
    return Quality(
        schema=SCHEMA,
        discl=__version__,
        benchmark=bench.spec.name,
        scale=bench.spec.scale,
        bank=bench.bank.id,
        variants=bank.variants,
        best_of=bank.best_of,
        threshold=bank.threshold,
        few=limits.few,
        warnings=tuple(concerns(lots.of(None, None), each, real, near, limits.few)),
        total=lots.of(None, None),
        levels=levels,
        lots=each,
        scores=tuple(scores(images)),
        real=real,
        judges=seen.judges,
        near_duplicates=near,
        examples=tuple(examples(bench, images)),
    )


# ---------------------------------------------------------------- what is in the bank


def _check(bench: Bench, images: Table) -> None:
    """Refuse a bank of which nothing can be said."""
    if not len(images):
        raise UserError(
            f"the bank {bench.bank.folder} holds no image of this benchmark; run `discl bank build"
            f" {bench.spec.name}` first"
        )
    if np.isnan(images["text"]).all():
        raise UserError(
            f"no image in {bench.bank.folder} has a score, so nothing can be said of thresholds;"
            f" move that folder away and run `discl bank build {bench.spec.name}` with a scorer,"
            " such as --set scorer.name=open_clip"
        )


def _embedded(
    bench: Bench, found: Mapping[int, tuple[Table, str]], progress: Progress
) -> dict[str, Floats]:
    """Embeddings of every level that has images, and of every split that has photos, by name."""
    scorer = bench.bank.process["scorer"]
    data = bench.spec.part("datasets").identity() | bench.dataset.identity()
    stacks = [
        Stack(stack_name(level), [scorer, content], bench.bank.pixels(level))
        for level, (made, content) in found.items()
        if len(made)
    ]
    for name in bench.dataset.splits:
        split = bench.dataset.split(name)
        if len(split):
            stacks.append(Stack(name, [scorer, data, digest(split.ids.tolist())], split.pixels))
    return embedded(stacks, bench.scorer, bench.bank.folder / "cache", progress)


# ---------------------------------------------------------------- what the embeddings say


@dataclass
class Inspection:
    """Real photos and images as vectors, and the judgements made of them; fills the columns of
    `images`.
    """

    bench: Bench
    images: Table
    vectors: dict[str, Floats]
    progress: Progress

    def __post_init__(self) -> None:
        """Judge the images' labels."""
        for level in np.unique(self.images["level"]).tolist():
            mine = np.flatnonzero(self.images["level"] == level)
            rows = self.images[mine]
            held = np.asarray(self.vectors[stack_name(level)][rows["place"]])
            # an image is judged by the fit that has not seen the photo it was made from
            unseen = self.fold[self.bench.hard[rows["source"]]]
            self.images["probe"][mine] = self.probe.predict(held, unseen) == rows["label"]
            self.images["caption"][mine] = nearest_is_own(held, self.anchors, rows["label"])

    @cached_property
    def real(self) -> tuple[Floats, Ints]:
        """Vectors and labels of train, then val."""
        splits = [name for name in ("train", "val") if name in self.vectors]
        vectors = np.concatenate([self.vectors[name] for name in splits])
        return vectors, np.concatenate([self.bench.dataset.split(name).labels for name in splits])

    @cached_property
    def fold(self) -> Ints:
        return folds(self.real[1])

    @cached_property
    def probe(self) -> RidgeProbe:
        return RidgeProbe(*self.real, len(self.bench.dataset.classes), self.fold)

    @cached_property
    def anchors(self) -> Floats:
        """Where each class's captions lie."""
        bench = self.bench
        captions = [bench.dataset.prompts(label) for label in range(len(bench.dataset.classes))]
        return anchors(
            captions, bench.scorer, bench.bank.process["scorer"], bench.bank.folder / "cache"
        )

    @cached_property
    def right(self) -> tuple[Truths, Truths]:
        """Whether probe and captions get each real photo of train, then val, right."""
        vectors, labels = self.real
        return self.probe.predict(vectors, self.fold) == labels, nearest_is_own(
            vectors, self.anchors, labels
        )

    @property
    def judges(self) -> Judges:
        probe, caption = self.right
        labels = self.real[1]
        val = slice(len(self.bench.train), None)
        hard = self.bench.hard
        recalls = [probe[val][labels[val] == label].mean() for label in np.unique(labels[val])]
        return Judges(
            FOLDS,
            mean(probe[val]),
            mean(np.array(recalls)),
            mean(probe[hard]),
            mean(caption[val]),
            mean(caption[hard]),
        )

    def real_class(self, label: int) -> RealClass:
        vectors, labels = self.real
        mine = np.flatnonzero(labels == label)
        train, val = mine[mine < len(self.bench.train)], mine[mine >= len(self.bench.train)]
        hard = np.intersect1d(self.bench.hard, train)
        probe, caption = self.right
        return RealClass(
            label,
            self.bench.dataset.classes[label],
            len(hard),
            len(mine),
            mean(probe[hard]),
            mean(caption[hard]),
            mean(probe[val]),
            rounded(spread(vectors[train])),
        )

    # -- near-duplicates

    def mark_near(self, limits: Limits) -> Duplicates:
        """Find images nearer to a val, test or ood photo than `quantile` of real training photos
        are to theirs.
        """
        others = [
            name for name in self.vectors if name in self.bench.dataset.splits and name != "train"
        ]
        if not others:
            return Duplicates(
                limits.quantile, None, len(self.bench.train), len(self.images), 0, 0, {}, ()
            )
        held = [
            np.flatnonzero(self.images["level"] == level)
            for level in np.unique(self.images["level"])
        ]
        queries = [
            self.vectors["train"],
            *(self.vectors[stack_name(int(self.images["level"][mine[0]]))] for mine in held),
        ]
        train, *levels = self._nearest(queries, others)
        for mine, (cosine, split, place) in zip(held, levels, strict=True):
            own = self.images["place"][mine]
            for column, values in (("near", cosine), ("near_split", split), ("near_place", place)):
                self.images[column][mine] = values[own]
        limit = float(np.quantile(train[0], limits.quantile, method="higher"))
        self.images["copy"] = self.images["near"] > limit
        return self._duplicates(limits, limit, others)

    def _nearest(
        self, queries: Sequence[Floats], others: Sequence[str]
    ) -> list[tuple[Floats, Ints, Ints]]:
        """(cosine, number of the split, place in it) of the photo of `others` nearest to each
        query.
        """
        best = [
            (np.full(len(asked), -np.inf, np.float32), *np.zeros((2, len(asked)), np.int64))
            for asked in queries
        ]
        for number, name in enumerate(others):
            self.progress("comparing with val, test and ood", number, len(others))
            for asked, (cosine, split, place) in zip(queries, best, strict=True):
                _improve(nearest(asked, self.vectors[name]), number, cosine, split, place)
        self.progress("comparing with val, test and ood", len(others), len(others))
        return best

    def _duplicates(self, limits: Limits, limit: float, others: Sequence[str]) -> Duplicates:
        found = self.images[self.images["copy"]]
        worst = found[
            np.lexsort((found["variant"], found["source"], found["level"], -found["near"]))
        ][: limits.listed]
        by_split = {name: int((found["near_split"] == i).sum()) for i, name in enumerate(others)}
        return Duplicates(
            quantile=limits.quantile,
            cosine_limit=rounded(limit),
            train_photos=len(self.bench.train),
            images=len(self.images),
            found=len(found),
            found_kept=int(found["kept"].sum()),
            by_split={name: count for name, count in by_split.items() if count},
            listed=tuple(self._duplicate(row, others[int(row["near_split"])]) for row in worst),
        )

    def _duplicate(self, row: Any, name: str) -> Duplicate:
        bench = self.bench
        place = int(row["near_place"])
        level = int(row["level"])
        split = bench.dataset.split(name)
        source = self.vectors["train"][bench.hard[row["source"]]]
        return Duplicate(
            level=level,
            source=bench.sources.ids[row["source"]],
            variant=int(row["variant"]),
            kept=bool(row["kept"]),
            class_name=bench.dataset.classes[row["label"]],
            split=name,
            photo_id=str(split.ids[place]),
            cosine=round(float(row["near"]), 6),
            source_cosine=round(float(source @ self.vectors[name][place]), 6),
            pixel_difference=pixel_difference(
                bench.bank.pixels(level)[row["place"]], split.pixels[place]
            ),
        )


def _improve(found: Nearest, number: int, cosine: Floats, split: Ints, place: Ints) -> None:
    better = found.cosine > cosine
    cosine[better] = found.cosine[better]
    split[better] = number
    place[better] = found.place[better]


def pixel_difference(one: Photos, other: Photos) -> float:
    """Mean absolute difference of two photos as 16 x 16 greys in [0, 1]."""
    greys = [
        np.asarray(
            Image.fromarray(photo).convert("L").resize((16, 16), Image.Resampling.BOX), float
        )
        / 255
        for photo in (one, other)
    ]
    return round(float(np.abs(greys[0] - greys[1]).mean()), 6)
