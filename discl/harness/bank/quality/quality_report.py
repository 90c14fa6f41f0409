"""The report on the images of a bank: every figure with its definition.

Fractions are in [0, 1]. A figure that cannot be given, such as the share of nothing, is null.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, is_dataclass
from typing import Annotated, Any, get_args, get_type_hints

SCHEMA = 2  # raised when a key is renamed, goes, or changes its meaning


@dataclass(frozen=True)
class ClassLevelStats:
    """The images of one level and one class that the benchmark asks for, or of all of either."""

    level: Annotated[
        int | None,
        "percent of the photo that survives; null = all levels of the benchmark together",
    ]
    label: Annotated[int | None, "number of the class; null = all classes together"]
    class_name: Annotated[str | None, "name of the class; null = all classes together"]
    wanted: Annotated[int, "images the benchmark asks for: hard photos x variants x best_of"]
    made: Annotated[int, "of those, images in the bank"]
    failed: Annotated[int, "of those, images the generator tried and could not make"]
    missing: Annotated[int, "of those, images not tried yet; `discl bank build` makes them"]
    picked: Annotated[
        int,
        "made images left when of every best_of draws the one with the highest text score is taken",
    ]
    kept: Annotated[int, "picked images whose text score reaches the threshold: what training uses"]
    kept_share: Annotated[float | None, "kept / picked"]
    text_score: Annotated[
        float | None,
        "median cosine of the made images with their caption, by the benchmark's scorer",
    ]
    photo_score: Annotated[
        float | None, "median cosine of the made images with the photo they were made from"
    ]
    probe_retention: Annotated[
        float | None,
        "share of made images that a linear probe, fitted on real photos without the image's own"
        " photo, gives the intended class",
    ]
    probe_retention_kept: Annotated[float | None, "probe_retention of the kept images"]
    caption_retention: Annotated[
        float | None,
        "share of made images to which no other class's captions lie nearer than their own class's"
        " (zero-shot)",
    ]
    caption_retention_kept: Annotated[float | None, "caption_retention of the kept images"]
    diversity: Annotated[
        float | None,
        "mean of 1 - cosine over all pairs of made images of one class and level; over several: the"
        " mean of those",
    ]
    diversity_kept: Annotated[float | None, "diversity of the kept images"]
    near_duplicates: Annotated[
        int, "made images nearer to a val, test or ood photo than near_duplicates.cosine_limit"
    ]
    denoising_steps_per_kept: Annotated[
        float | None, "denoising steps spent on made and failed images, by kept image"
    ]
    bytes_per_kept: Annotated[float | None, "bytes stored for made images, by kept image"]


@dataclass(frozen=True)
class ScoreDistribution:
    """How the cosines of a level's made images spread."""

    images: Annotated[int, "made images with a score"]
    lowest: Annotated[float, "lowest cosine"]
    q05: Annotated[float, "5 % of the cosines are below"]
    q25: Annotated[float, "25 % of the cosines are below"]
    median: Annotated[float, "tmp of the cosines are below"]
    q75: Annotated[float, "75 % of the cosines are below"]
    q95: Annotated[float, "95 % of the cosines are below"]
    highest: Annotated[float, "highest cosine"]
    edges: Annotated[
        tuple[float, ...],
        "edges of the histogram's bins, the same for all levels; one more than there are bins",
    ]
    counts: Annotated[tuple[int, ...], "images in each bin; the last bin holds its upper edge"]


@dataclass(frozen=True)
class LevelScores:
    """Score distributions of one level."""

    level: Annotated[int, "percent of the photo that survives"]
    text: Annotated[
        ScoreDistribution | None, "cosines with the caption; the benchmark's threshold cuts here"
    ]
    photo: Annotated[ScoreDistribution | None, "cosines with the photo the image was made from"]


@dataclass(frozen=True)
class RealClassStats:
    """The real photos of a class: what the figures of its images are compared with."""

    label: Annotated[int, "number of the class"]
    class_name: Annotated[str, "name of the class"]
    hard_photos: Annotated[int, "training photos that images are made from"]
    train_and_val_photos: Annotated[
        int, "real photos the probe learns the class from, and is measured on, by turns"
    ]
    probe_retention: Annotated[
        float | None,
        "share of the hard photos that the probe, fitted without them, gives their class",
    ]
    caption_retention: Annotated[
        float | None, "share of the hard photos to which no other class's captions lie nearer"
    ]
    probe_val_recall: Annotated[
        float | None,
        "share of the class's val photos that the probe, fitted without them, gives their class",
    ]
    diversity: Annotated[
        float | None, "mean of 1 - cosine over all pairs of the class's training photos"
    ]


@dataclass(frozen=True)
class LabelClassifiers:
    """How often the two classifiers that measure label retention are right about real photos.

    Test is not read for it.
    """

    folds: Annotated[
        int,
        "parts that train and val photos are dealt into, class by class; each is classified by a"
        " fit on the others",
    ]
    probe_val_accuracy: Annotated[
        float | None, "share of val photos the probe gets right, cross-validated"
    ]
    probe_val_macro_accuracy: Annotated[
        float | None, "mean over classes of the probe's recall on val, cross-validated"
    ]
    probe_hard_accuracy: Annotated[
        float | None, "share of hard photos the probe gets right, cross-validated"
    ]
    caption_val_accuracy: Annotated[float | None, "share of val photos the captions get right"]
    caption_hard_accuracy: Annotated[float | None, "share of hard photos the captions get right"]


@dataclass(frozen=True)
class NearDuplicate:
    """An image that may be a copy of a photo the models are evaluated on."""

    level: Annotated[int, "percent of the photo that survives"]
    source: Annotated[str, "id of the training photo the image was made from"]
    variant: Annotated[int, "which of the draws"]
    class_name: Annotated[str, "class the image was made for"]
    kept: Annotated[bool, "whether training uses the image"]
    split: Annotated[str, "split of the photo it resembles"]
    photo_id: Annotated[str, "id of that photo"]
    cosine: Annotated[float, "cosine of the image with that photo"]
    source_cosine: Annotated[
        float,
        "cosine of the training photo with that photo; if it is as high, the photos are the"
        " duplicates",
    ]
    pixel_difference: Annotated[
        float,
        "mean absolute difference of image and photo, both as 16 x 16 greys in [0, 1]; a copy has"
        " about 0",
    ]


@dataclass(frozen=True)
class NearDuplicates:
    """Images nearer to a val, test or ood photo than nearly all real training photos are."""

    quantile: Annotated[
        float,
        "share of real training photos that lie no nearer to any val, test or ood photo than"
        " cosine_limit",
    ]
    cosine_limit: Annotated[float | None, "that cosine; null where there is no such photo"]
    train_photos: Annotated[int, "real training photos the limit was taken from"]
    images: Annotated[int, "made images looked at"]
    found: Annotated[
        int, "made images above the limit; by chance one expects (1 - quantile) x images"
    ]
    found_kept: Annotated[int, "of those, kept images"]
    by_split: Annotated[dict[str, int], "found images by the split of the photo they resemble most"]
    listed: Annotated[
        tuple[NearDuplicate, ...], "the found images with the highest cosine, worst first, capped"
    ]


@dataclass(frozen=True)
class ExampleImage:
    """An image that is shown for its score."""

    level: Annotated[int, "percent of the photo that survives"]
    rank: Annotated[
        str, "where its text score stands among the made images of its level: best, median or worst"
    ]
    source: Annotated[str, "id of the photo the image was made from"]
    variant: Annotated[int, "which of the draws"]
    class_name: Annotated[str, "class the image was made for"]
    text_score: Annotated[float, "cosine with its caption"]
    kept: Annotated[bool, "whether training uses the image"]


@dataclass(frozen=True)
class QualityReport:
    """The report on the images of a bank that one benchmark uses."""

    schema: Annotated[int, "number of this layout"]
    discl: Annotated[str, "version of discl that measured"]
    benchmark: Annotated[str, "name of the benchmark"]
    scale: Annotated[str, "scale of the benchmark"]
    bank: Annotated[str, "id of the bank"]
    variants: Annotated[int, "images per photo and level"]
    best_of: Annotated[int, "draws an image is the best of, by text score"]
    threshold: Annotated[float, "lowest text score that is used"]
    few: Annotated[int, "a class with fewer kept images at a level is warned about"]
    warnings: Annotated[tuple[str, ...], "what should be looked at first, in sentences"]
    total: Annotated[ClassLevelStats, "all levels and classes together"]
    levels: Annotated[tuple[ClassLevelStats, ...], "one for each level, all classes together"]
    by_class_and_level: Annotated[
        tuple[ClassLevelStats, ...], "one for each class and level, ordered by (class, level)"
    ]
    scores: Annotated[
        tuple[LevelScores, ...], "score distributions, one for each level with an image"
    ]
    real: Annotated[
        tuple[RealClassStats, ...], "the real photos, one for each class images are made of"
    ]
    classifiers: Annotated[LabelClassifiers, "the classifiers that measure label retention"]
    near_duplicates: Annotated[
        NearDuplicates, "possible copies of photos the models are evaluated on"
    ]
    examples: Annotated[
        tuple[ExampleImage, ...], "images with the best, median and worst text scores of each level"
    ]


def as_json(report: QualityReport) -> dict[str, Any]:
    """The report as JSON types, with the definitions under `definitions`."""
    return {**asdict(report), "definitions": dict(definitions(QualityReport))}


def definitions(kind: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted key, definition) of every figure in a dataclass and in those it holds, once each."""
    for name, hint in get_type_hints(kind, include_extras=True).items():
        annotated, definition = get_args(hint)
        yield prefix + name, definition
        types = (annotated, *get_args(annotated))
        inner = next((part for part in types if is_dataclass(part)), None)
        if inner and name not in ("total", "levels"):
            yield from definitions(inner, f"{prefix}{name}.")


# ---------------------------------------------------------------- how figures are written


def percent(value: float | None, digits: int = 0) -> str:
    """A fraction in percent; a dash where there is none."""
    return "–" if value is None else f"{value * 100:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A figure with so many digits after the point; a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def count(value: float | None) -> str:
    """A whole number with thousands apart; a dash where there is none."""
    return "–" if value is None else f"{value:,.0f}".replace(",", "\u202f")
