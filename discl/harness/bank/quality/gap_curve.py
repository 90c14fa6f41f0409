"""The gap curve: how far the images of each level are from real photos, for a classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, NamedTuple

from discl.core.text import counted
from discl.harness.bank.quality.quality_report import definitions

SCHEMA = 1  # raised when a key is renamed, goes, or changes its meaning


class Interval(NamedTuple):
    """A mean over seeds with half the width of its 95 % interval; None where none can be given."""

    mean: float
    half_width: float | None


@dataclass(frozen=True)
class GapRow:
    """A classifier that was trained on one kind of pictures alone."""

    pictures: Annotated[
        str,
        "what it was trained on: images of a level; the hard photos that the images were made from,"
        " repeated; or as many other real photos of the same classes",
    ]
    level: Annotated[
        int | None, "percent of the photo that survives; 100 = the hard photos; null = other photos"
    ]
    different: Annotated[int, "different pictures it was trained on, all classes together"]
    accuracy: Annotated[
        Interval,
        "mean recall on val photos of the classes, with half its 95 % interval over seeds",
    ]
    by_seed: Annotated[tuple[float, ...], "the same, seed by seed"]
    gap: Annotated[
        Interval | None,
        "what it lacks to the classifier trained on other real photos, over the seeds of both; null"
        " = it is that one",
    ]
    distance: Annotated[
        float | None,
        "unbiased squared maximum mean discrepancy between its pictures and val photos of the same"
        " class (kernel (1 + cosine)^3), mean over classes; 0 is expected of real photos",
    ]
    distance_error: Annotated[
        float | None, "standard error of the distance, by leaving out one source photo at a time"
    ]


@dataclass(frozen=True)
class GapCurve:
    """What images of each level are worth alone, beside real photos; test is not read for it."""

    schema: Annotated[int, "number of this layout"]
    bank: Annotated[str, "id of the bank"]
    classes: Annotated[
        tuple[str, ...], "classes that are told apart: those with images at every level"
    ]
    left_out: Annotated[
        tuple[str, ...], "classes with images at some level, but too few images or val photos"
    ]
    chance: Annotated[float, "accuracy of guessing"]
    pictures: Annotated[
        tuple[int, int], "pictures of a class each classifier may see: of the fewest, of the most"
    ]
    measured: Annotated[int, "val photos of each seed that accuracy is measured on"]
    seeds: Annotated[tuple[int, ...], "seeds, each with another half of val"]
    steps: Annotated[int, "optimiser steps of each classifier"]
    batch: Annotated[int, "pictures a step"]
    features: Annotated[str, "what computes the features of the distance: the benchmark's scorer"]
    rows: Annotated[tuple[GapRow, ...], "levels in ascending order, then photos"]


def gap_json(curve: GapCurve) -> dict[str, Any]:
    """The curve as JSON types."""
    plain = asdict(curve)
    for row in plain["rows"]:
        for key in ("accuracy", "gap"):
            row[key] = row[key] and Interval(*row[key])._asdict()
    return plain


def gap_definitions() -> dict[str, str]:
    """Dotted key below `gap` -> definition."""
    return {f"gap.{key}": text for key, text in definitions(GapCurve)}


def gap_sentences(curve: GapCurve) -> list[str]:
    """What was measured, in sentences."""
    low, high = curve.pictures
    each = f"{low}" if low == high else f"{low} to {high}"
    said = [
        f"Each classifier ({counted(curve.steps, 'step')} of {curve.batch},"
        f" {counted(len(curve.seeds), 'seed')}) learned"
        f" {counted(len(curve.classes), 'class', 'classes')} from {each} pictures a class of one"
        f" kind alone, and is measured on {curve.measured} val photos of these classes that none"
        f" was trained on; guessing gives {100 * curve.chance:.1f} %. Other photos are val's other"
        " half.",
        f"Distance: of features by {curve.features}, class by class; real photos are expected at"
        " 0.",
    ]
    if curve.left_out:
        names = ", ".join(curve.left_out[:5]) + (", ..." if len(curve.left_out) > 5 else "")
        count = len(curve.left_out)
        classes = "class" if count == 1 else "classes"
        said.append(f"Left out, with too few images or val photos: {count} {classes} ({names}).")
    return said


def interval_text(interval: Interval | None) -> str:
    """'34.1 ± 1.2' in percent; a dash where there is none."""
    if interval is None:
        return "–"
    width = interval.half_width
    return f"{100 * interval.mean:.1f}" + ("" if width is None else f" ± {100 * width:.1f}")
