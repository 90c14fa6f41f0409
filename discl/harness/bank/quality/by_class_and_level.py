"""The images a benchmark asks for: counts, shares and scores by level and class."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Floats
from discl.core.levels import PHOTO, denoising_steps
from discl.harness.bank.quality.neighbours import spread
from discl.harness.bank.quality.quality_report import (
    ClassLevelStats,
    ExampleImage,
    LevelScores,
    ScoreDistribution,
)
from discl.harness.run.assembly import Bench

BINS = 40
EXAMPLES = 4  # of each rank
QUANTILES = {  # field of ScoreDistribution -> share of cosines below
    "lowest": 0.0,
    "q05": 0.05,
    "q25": 0.25,
    "median": 0.5,
    "q75": 0.75,
    "q95": 0.95,
    "highest": 1.0,
}

# one row an image; `position` is its index in the level's pixels and embeddings, `near_*` the val,
# test or ood photo it resembles most
IMAGE_COLUMNS = [
    ("level", np.int64),
    ("source", np.int64),
    ("variant", np.int64),
    ("label", np.int64),  # of the photo
    ("target", np.int64),  # what the image was to become: another class where prompts ask for one
    ("position", np.int64),
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
    ("near_row", np.int64),
    ("copy", np.bool_),
]
ImageTable = NDArray[Any]  # [n] with IMAGE_COLUMNS
_LATER = (False,) * 4 + (0.0, 0, 0, False)  # columns that are filled in afterwards


def embedding_name(level: int) -> str:
    """The name under which the embeddings of a level are kept."""
    return f"level-{level:03d}"


def images_of_level(bench: Bench, level: int) -> tuple[ImageTable, str]:
    """The images of a level that the benchmark asks for, and a digest of the level's images.

    The digest covers all images the bank has at the level, and the size they are seen at.
    """
    bank = bench.spec.bank
    content = hashlib.sha256(repr(bench.bank.size).encode())
    images = np.fromiter(_image_rows(bench, level, content), IMAGE_COLUMNS)
    for column, threshold in (("picked", None), ("kept", bank.threshold)):
        view = bench.bank.view(level, bank.variants, bench.sources, threshold, bank.best_of)
        images[column] = np.isin(images["position"], view.position)
    return images, content.hexdigest()


def _image_rows(bench: Bench, level: int, content: Any) -> Iterator[tuple[Any, ...]]:
    """A row for each image that the benchmark asks for; `content` is updated by every image."""
    sources = bench.sources.position
    draws = bench.spec.bank.variants * bench.spec.bank.best_of
    for position, record in enumerate(bench.bank.records(level)):
        content.update(record.sha256.encode())
        if record.source in sources and record.variant < draws:
            yield (
                level,
                sources[record.source],
                record.variant,
                record.label,
                bench.sources.target_of(record),
                position,
                np.nan if record.text_score is None else record.text_score,
                np.nan if record.photo_score is None else record.photo_score,
                record.denoising_steps,
                record.length,
                *_LATER,
            )


# ---------------------------------------------------------------- counts and shares


class StatsByClassAndLevel:
    """Counts and shares of the images of a level and class.

    Diversities are computed once: a level's is the mean of its classes'.
    """

    def __init__(self, bench: Bench, images: ImageTable, vectors: Mapping[str, Floats]) -> None:
        self.images = images
        self.vectors = vectors
        self.sources = bench.sources
        self.counting = bench.counting
        self.labels = sorted({int(label) for label in bench.sources.labels})
        self.levels = [level for level in sorted(bench.spec.levels) if level != PHOTO]
        self.draws = bench.spec.bank.variants * bench.spec.bank.best_of
        self.failed = self._failed(bench)
        self.diversities = {
            (level, label): self._diversities(level, label)
            for level in self.levels
            for label in self.labels
        }

    def _failed(self, bench: Bench) -> NDArray[np.int64]:
        """Level and label [n, 2] of the cells that could not be made."""
        positions = self.sources.position
        failed = [
            (cell.level, self.sources.labels[positions[cell.source]])
            for cell, _ in bench.bank.failures()
            if cell.source in positions and cell.level in self.levels and cell.variant < self.draws
        ]
        return np.array(failed, np.int64).reshape(-1, 2)

    def _diversities(self, level: int, label: int) -> tuple[float | None, float | None]:
        """Diversity of the made and of the kept images."""
        images = self._images(level, label)
        if not len(images):
            return None, None
        vectors = self.vectors[embedding_name(level)]
        kept = images[images["kept"]]
        return spread(vectors[images["position"]]), spread(vectors[kept["position"]])

    def _images(self, level: int | None, label: int | None) -> ImageTable:
        images = self.images
        if level is not None:
            images = images[images["level"] == level]
        return images if label is None else images[images["label"] == label]

    def of(self, level: int | None, label: int | None) -> ClassLevelStats:
        """The figures of one level and class; None stands for all."""
        images = self._images(level, label)
        kept = images[images["kept"]]
        levels = self.levels if level is None else [level]
        labels = self.labels if label is None else [label]
        failed = self.failed[
            np.isin(self.failed[:, 0], levels) & np.isin(self.failed[:, 1], labels)
        ]
        steps = int(images["steps"].sum())
        steps += sum(denoising_steps(int(level_of), self.counting) for level_of, _ in failed)
        diversities = [
            self.diversities[level_of, label_of] for level_of in levels for label_of in labels
        ]
        photos = int(np.isin(self.sources.labels, labels).sum())
        wanted = photos * self.draws * len(levels)
        picked = int(images["picked"].sum())
        return ClassLevelStats(
            level=level,
            label=label,
            class_name=None if label is None else self.sources.classes[label],
            wanted=wanted,
            made=len(images),
            failed=len(failed),
            missing=wanted - len(images) - len(failed),
            picked=picked,
            kept=len(kept),
            kept_share=share(len(kept), picked),
            text_score=median(images["text"]),
            photo_score=median(images["photo"]),
            probe_retention=mean(images["probe"]),
            probe_retention_kept=mean(kept["probe"]),
            caption_retention=mean(images["caption"]),
            caption_retention_kept=mean(kept["caption"]),
            diversity=mean_of_known(made for made, _ in diversities),
            diversity_kept=mean_of_known(used for _, used in diversities),
            near_duplicates=int(images["copy"].sum()),
            denoising_steps_per_kept=share(steps, len(kept)),
            bytes_per_kept=share(int(images["bytes"].sum()), len(kept)),
        )


# ---------------------------------------------------------------- scores


def level_scores(images: ImageTable) -> Iterator[LevelScores]:
    """Score distributions of each level that has an image, from a table of images [n]."""
    text_edges = _edges(images["text"])
    photo_edges = _edges(images["photo"])
    for level in np.unique(images["level"]).tolist():
        of_level = images[images["level"] == level]
        yield LevelScores(
            level,
            _distribution(of_level["text"], text_edges),
            _distribution(of_level["photo"], photo_edges),
        )


def _edges(cosines: Floats) -> Floats:
    """Bins over the scores of all levels, so that their histograms can be compared."""
    known = cosines[~np.isnan(cosines)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    return np.linspace(low, high if high > low else low + 1e-6, BINS + 1)


def _distribution(cosines: Floats, edges: Floats) -> ScoreDistribution | None:
    known = cosines[~np.isnan(cosines)]
    if not len(known):
        return None
    cosine_at = np.quantile(known, list(QUANTILES.values()))
    quantiles = {
        name: round(float(cosine), 6) for name, cosine in zip(QUANTILES, cosine_at, strict=True)
    }
    return ScoreDistribution(
        images=len(known),
        edges=tuple(round(float(edge), 6) for edge in edges),
        counts=tuple(np.histogram(known, edges)[0].tolist()),
        **quantiles,
    )


def example_images(bench: Bench, images: ImageTable) -> Iterator[ExampleImage]:
    """A few of each level's best, middle and worst of the images [n], by text score."""
    for level in np.unique(images["level"]).tolist():
        scored = images[(images["level"] == level) & ~np.isnan(images["text"])]
        scored = scored[np.argsort(-scored["text"], kind="stable")]
        size = min(EXAMPLES, -(-len(scored) // 3))
        middle = (len(scored) - size) // 2
        for rank, start in (("best", 0), ("median", middle), ("worst", len(scored) - size)):
            for row in scored[start : start + size]:
                yield ExampleImage(
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
    """Mean of numbers [n]; None where n is 0."""
    return round(float(np.mean(values)), 6) if len(values) else None


def mean_of_known(values: Iterator[float | None]) -> float | None:
    """Mean of the numbers that are not None; None where there are none."""
    return mean([value for value in values if value is not None])


def median(cosines: Floats) -> float | None:
    """Median of cosines [n] without NaN; None where there are none."""
    known = cosines[~np.isnan(cosines)]
    return round(float(np.median(known)), 6) if len(known) else None


def share(part: int, total: int) -> float | None:
    """part / total; None where the total is 0."""
    return round(part / total, 6) if total else None


def rounded(value: float | None) -> float | None:
    """A figure with six digits after the point; None stays None."""
    return None if value is None else round(value, 6)
