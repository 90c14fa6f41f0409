"""The images a benchmark asks for, counted and shared out by level and class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Floats
from discl.core.levels import PHOTO, denoising_steps
from discl.harness.bank.quality.facts import Distribution, Example, Lot, Scores
from discl.harness.bank.quality.vectors import spread
from discl.harness.run.assembly import Bench

BINS = 40
EXAMPLES = 4  # of each rank

# one row an image; `place` is its place in the level's pixels, `near_*` the val, test or ood photo
# it resembles most
COLUMNS = [
    ("level", np.int64),
    ("source", np.int64),
    ("variant", np.int64),
    ("label", np.int64),
    ("place", np.int64),
    ("text", np.float64),
    ("photo", np.float64),
    ("steps", np.int64),
    ("bytes", np.int64),
    ("picked", np.bool_),
    ("kept", np.bool_),
    ("probe", np.bool_),
    ("caption", np.bool_),
    ("near", np.float64),
    ("near_split", np.int64),
    ("near_place", np.int64),
    ("copy", np.bool_),
]
Table = NDArray[Any]


def stack_name(level: int) -> str:
    """What the embeddings of a level are called."""
    return f"level-{level:03d}"


def table(bench: Bench, level: int) -> tuple[Table, str]:
    """The images of a level that the benchmark asks for, and a digest of all the bank has at the
    level and of the size it is seen at.
    """
    place = bench.sources.position
    bank = bench.spec.bank
    content = hashlib.sha256(repr(bench.bank.size).encode())
    rest = (False,) * 4 + (0.0, 0, 0, False)

    def wanted() -> Iterator[tuple[Any, ...]]:
        for i, row in enumerate(bench.bank.records(level)):
            content.update(row.sha256.encode())
            if row.source in place and row.variant < bank.variants * bank.best_of:
                scores = (
                    np.nan if score is None else score
                    for score in (row.text_score, row.photo_score)
                )
                yield (
                    level,
                    place[row.source],
                    row.variant,
                    row.label,
                    i,
                    *scores,
                    row.denoising_steps,
                    row.length,
                    *rest,
                )

    made = np.fromiter(wanted(), COLUMNS)
    for column, threshold in (("picked", None), ("kept", bank.threshold)):
        view = bench.bank.view(level, bank.variants, bench.sources, threshold, bank.best_of)
        made[column] = np.isin(made["place"], view.position)
    return made, content.hexdigest()


# ---------------------------------------------------------------- lots


class Lots:
    """Counts and shares of the images of a level and class.

    Diversities are kept: a level's is the mean of its classes'.
    """

    def __init__(self, bench: Bench, images: Table, vectors: Mapping[str, Floats]) -> None:
        self.images = images
        self.vectors = vectors
        self.sources = bench.sources
        self.grid = bench.generator.steps
        self.labels = sorted({int(label) for label in bench.sources.labels})
        self.levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
        draws = bench.spec.bank.variants * bench.spec.bank.best_of
        self.draws = draws
        place = bench.sources.position
        failed = [
            cell
            for cell, _ in bench.bank.failures()
            if cell.source in place and cell.level in self.levels and cell.variant < draws
        ]
        self.failed = np.array(
            [(cell.level, bench.sources.labels[place[cell.source]]) for cell in failed], np.int64
        ).reshape(-1, 2)
        self.spreads = {
            (level, label): self._spreads(level, label)
            for level in self.levels
            for label in self.labels
        }

    def _spreads(self, level: int, label: int) -> tuple[float | None, float | None]:
        """Diversity of made and of kept images."""
        mine = self._images(level, label)
        if not len(mine):
            return None, None
        vectors = self.vectors[stack_name(level)]
        return spread(vectors[mine["place"]]), spread(vectors[mine["place"][mine["kept"]]])

    def _images(self, level: int | None, label: int | None) -> Table:
        images = self.images
        if level is not None:
            images = images[images["level"] == level]
        return images if label is None else images[images["label"] == label]

    def of(self, level: int | None, label: int | None) -> Lot:
        """The lot of one level and class; None stands for all."""
        mine = self._images(level, label)
        levels = self.levels if level is None else [level]
        kept = mine[mine["kept"]]
        photos = (
            len(self.sources.ids) if label is None else int((self.sources.labels == label).sum())
        )
        failed = self.failed[
            np.isin(self.failed[:, 0], levels) & ((label is None) | (self.failed[:, 1] == label))
        ]
        steps = int(mine["steps"].sum()) + sum(
            denoising_steps(int(at), self.grid) for at, _ in failed
        )
        spreads = [
            self.spreads[one, other]
            for one in levels
            for other in (self.labels if label is None else [label])
        ]
        wanted = photos * self.draws * len(levels)
        picked = int(mine["picked"].sum())
        return Lot(
            level=level,
            label=label,
            class_name=None if label is None else self.sources.classes[label],
            wanted=wanted,
            made=len(mine),
            failed=len(failed),
            missing=wanted - len(mine) - len(failed),
            picked=picked,
            kept=len(kept),
            kept_share=share(len(kept), picked),
            text_score=median(mine["text"]),
            photo_score=median(mine["photo"]),
            probe_retention=mean(mine["probe"]),
            probe_retention_kept=mean(kept["probe"]),
            caption_retention=mean(mine["caption"]),
            caption_retention_kept=mean(kept["caption"]),
            diversity=mean_of(made for made, _ in spreads),
            diversity_kept=mean_of(used for _, used in spreads),
            near_duplicates=int(mine["copy"].sum()),
            denoising_steps_per_kept=share(steps, len(kept)),
            bytes_per_kept=share(int(mine["bytes"].sum()), len(kept)),
        )


# ---------------------------------------------------------------- scores


def scores(images: Table) -> Iterator[Scores]:
    """Score distributions of each level."""
    edges = {column: _edges(images[column]) for column in ("text", "photo")}
    for level in np.unique(images["level"]).tolist():
        mine = images[images["level"] == level]
        yield Scores(
            level, *(_distribution(mine[column], edges[column]) for column in ("text", "photo"))
        )


def _edges(cosines: Floats) -> Floats:
    """Bins over all levels' scores, so that their histograms can be held against each other."""
    there = cosines[~np.isnan(cosines)]
    low, high = (there.min(), there.max()) if len(there) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1e-6, BINS + 1)


def _distribution(cosines: Floats, edges: Floats) -> Distribution | None:
    there = cosines[~np.isnan(cosines)]
    if not len(there):
        return None
    low, q05, q25, median, q75, q95, high = (
        round(float(value), 6) for value in np.quantile(there, (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1))
    )
    counts = np.histogram(there, edges)[0]
    ends = tuple(round(float(edge), 6) for edge in edges)
    return Distribution(
        len(there), low, q05, q25, median, q75, q95, high, ends, tuple(counts.tolist())
    )


def examples(bench: Bench, images: Table) -> Iterator[Example]:
    """A few of each level's best, middle and worst images, by text score."""
    for level in np.unique(images["level"]).tolist():
        mine = images[(images["level"] == level) & ~np.isnan(images["text"])]
        mine = mine[np.argsort(-mine["text"], kind="stable")]
        size = min(EXAMPLES, -(-len(mine) // 3))
        middle = (len(mine) - size) // 2
        for rank, part in (
            ("best", mine[:size]),
            ("median", mine[middle : middle + size]),
            ("worst", mine[len(mine) - size :]),
        ):
            for row in part:
                yield Example(
                    level=level,
                    rank=rank,
                    source=bench.sources.ids[row["source"]],
                    variant=int(row["variant"]),
                    class_name=bench.dataset.classes[row["label"]],
                    text_score=float(row["text"]),
                    kept=bool(row["kept"]),
                )


# ---------------------------------------------------------------- figures that may not exist


def mean(values: Any) -> float | None:
    return round(float(np.mean(values)), 6) if len(values) else None


def mean_of(values: Iterator[float | None]) -> float | None:
    return mean([value for value in values if value is not None])


def median(cosines: Floats) -> float | None:
    there = cosines[~np.isnan(cosines)]
    return round(float(np.median(there)), 6) if len(there) else None


def share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
