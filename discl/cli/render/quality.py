"""A report on the images of a bank on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from discl.cli.render.layout import Styled
from discl.cli.render.tables import show, show_pairs, tell
from discl.config.identity import which_are_kept
from discl.core.text import counted, echo

if TYPE_CHECKING:
    from discl.harness.bank.quality.gap_curve import GapCurve
    from discl.harness.bank.quality.quality_report import (
        ClassLevelStats,
        QualityReport,
        RealClassStats,
    )

MOST_DUPLICATES = 5
MOST_CLASSES = 20
HEADS = ("kept/made", "text", "photo", "probe", "captions", "diversity", "copies", "steps", "bytes")
WORTH = ("kept/made", "probe", "captions", "diversity", "photo", "text", "copies")
ELSEWHERE = "--format json"


def print_quality(report: QualityReport) -> None:
    """Warnings, then levels, then classes by level, then the near-duplicates."""
    tell(f"bank {report.bank} as {report.benchmark} at scale {report.scale} uses it", "bold")
    tell(
        f"{counted(report.variants, 'image')} a photo and level, best of {report.best_of};"
        f" kept: {which_are_kept(report.threshold)}"
    )
    echo()
    show_pairs("", [(Styled("!", "bad"), warning) for warning in report.warnings])
    echo()
    levels = [[f"{stats.level} %", *_cells(stats)] for stats in report.levels]
    levels.append(["all", *_cells(report.total)])
    show("", ["level", *HEADS], levels, worth=WORTH, elsewhere=ELSEWHERE)
    echo()
    show(
        "",
        ["class", "level", *HEADS],
        _classes(report),
        worth=["level", *WORTH],
        elsewhere=ELSEWHERE,
    )
    if len(report.real) > MOST_CLASSES:
        tell(
            f"the {MOST_CLASSES} classes with the fewest kept images of {len(report.real)};"
            " --html and --format json have them all"
        )
    _print_explanation(report)
    _print_duplicates(report)


def print_gap(curve: GapCurve) -> None:
    """The gap curve as a table, and what was measured."""
    from discl.harness.bank.quality.gap_curve import gap_sentences, interval_text
    from discl.harness.bank.quality.quality_report import number

    rows = []
    for row in curve.rows:
        error = "" if row.distance_error is None else f" ± {row.distance_error:.4f}"
        rows.append(
            [
                row.pictures,
                str(row.different),
                interval_text(row.accuracy),
                interval_text(row.gap),
                number(row.distance, 4) + error,
            ]
        )
    echo()
    show(
        "gap curve: classifiers trained on one kind of pictures alone",
        ["trained on", "different", "recall on val (%)", "below other photos", "distance"],
        rows,
        worth=["recall on val (%)", "below other photos", "distance"],
        elsewhere=ELSEWHERE,
    )
    tell(" ".join(gap_sentences(curve)))


def _classes(report: QualityReport) -> list[Sequence[str | Styled]]:
    """A line for each class and level, and one for the class's photos.

    Of many classes those with the fewest kept images.
    """
    rows: list[Sequence[str | Styled]] = []
    by_class: dict[int | None, list[ClassLevelStats]] = {}
    for stats in report.by_class_and_level:
        by_class.setdefault(stats.label, []).append(stats)
    kept = {label: sum(stats.kept for stats in levels) for label, levels in by_class.items()}
    fewest = sorted(report.real, key=lambda photos: kept[photos.label])[:MOST_CLASSES]
    for photos in sorted(fewest, key=lambda photos: photos.label):
        name = photos.class_name
        for stats in by_class[photos.label]:
            rows.append([name, f"{stats.level} %", *_cells(stats)])
            name = ""
        of_photos = ["", "photos", *_cells_of_photos(photos)]
        rows.append([Styled(cell, "dim") for cell in of_photos])
    return rows


def _cells(stats: ClassLevelStats) -> list[str]:
    from discl.harness.bank.quality.quality_report import count, number, percent

    return [
        f"{stats.kept}/{stats.made}",
        number(stats.text_score),
        number(stats.photo_score),
        percent(stats.probe_retention),
        percent(stats.caption_retention),
        number(stats.diversity),
        str(stats.near_duplicates),
        number(stats.denoising_steps_per_kept, 1),
        count(stats.bytes_per_kept),
    ]


def _cells_of_photos(photos: RealClassStats) -> list[str]:
    from discl.harness.bank.quality.quality_report import number, percent

    return [
        str(photos.hard_photos),
        "",
        "",
        percent(photos.probe_retention),
        percent(photos.caption_retention),
        number(photos.diversity),
        "",
        "",
        "",
    ]


def _print_explanation(report: QualityReport) -> None:
    from discl.harness.bank.quality.quality_report import percent

    classifiers = report.classifiers
    echo()
    tell(
        "text, photo: median cosine with caption and photo. probe, captions: share of images that"
        " still show their class, by a ridge probe on real photos (right on"
        f" {percent(classifiers.probe_val_accuracy, 1)} of val) and by the nearest captions"
        f" ({percent(classifiers.caption_val_accuracy, 1)}). diversity: mean 1 - cosine within"
        " class and level. steps, bytes: for each kept image. --html shows pictures,"
        " --format json defines every figure."
    )


def _print_duplicates(report: QualityReport) -> None:
    near = report.near_duplicates
    if near.cosine_limit is None:
        return
    echo()
    tell(
        f"near-duplicates of val, test or ood photos: {near.found} of {near.images} images above"
        f" cosine {near.cosine_limit:.4f} ({(1 - near.quantile) * near.images:.1f} by chance),"
        f" {near.found_kept} of them kept"
    )
    for image in near.listed[:MOST_DUPLICATES]:
        tell(
            f"{image.cosine:.4f}  {image.class_name} level {image.level} draw {image.variant}"
            f" of {image.source}  ~  {image.split} {image.photo_id}  (pixels differ by"
            f" {image.pixel_difference:.3f}, {'kept' if image.kept else 'dropped'})"
        )
