"""A report on the images of a bank on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discl.core.text import console, styled

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from discl.harness.bank.quality.gap_curve import GapCurve
    from discl.harness.bank.quality.quality_report import (
        ClassLevelStats,
        QualityReport,
        RealClassStats,
    )

MOST_DUPLICATES = 5
MOST_CLASSES = 20
WIDTH = 150
HEADS = ("kept/made", "text", "photo", "probe", "captions", "diversity", "copies", "steps", "bytes")


def print_quality(report: QualityReport) -> None:
    """Warnings, then levels, then classes by level, then the near-duplicates."""

    terminal = console(WIDTH)
    terminal.print(
        f"bank {report.bank} as {report.benchmark} at scale {report.scale} uses it", style="bold"
    )
    terminal.print(
        f"{report.variants} images a photo and level, best of {report.best_of}, threshold"
        f" {report.threshold:g}\n"
    )
    for warning in report.warnings:
        terminal.print(styled("!", "bold red").append(f" {warning}", style="not bold default"))
    terminal.print()
    terminal.print(_levels(report), end="\n\n")
    terminal.print(_classes(report))
    if len(report.real) > MOST_CLASSES:
        terminal.print(
            f"the {MOST_CLASSES} classes with the fewest kept images of {len(report.real)};"
            " --html and --format json have them all\n"
        )
    _print_explanation(terminal, report)
    _print_duplicates(terminal, report)


def print_gap(curve: GapCurve) -> None:
    """The gap curve as a table, and what was measured."""
    from discl.harness.bank.quality.gap_curve import gap_sentences, interval_text
    from discl.harness.bank.quality.quality_report import number

    terminal = console(WIDTH)
    terminal.print("\ngap curve: classifiers trained on one kind of pictures alone", style="bold")
    table = _table("trained on", "different", "recall on val (%)", "below other photos", "distance")
    for row in curve.rows:
        error = "" if row.distance_error is None else f" ± {row.distance_error:.4f}"
        table.add_row(
            row.pictures,
            str(row.different),
            interval_text(row.accuracy),
            interval_text(row.gap),
            number(row.distance, 4) + error,
        )
    terminal.print(table)
    terminal.print(" ".join(gap_sentences(curve)))


def _levels(report: QualityReport) -> Table:
    table = _table("level", *HEADS)
    for stats in report.levels:
        table.add_row(f"{stats.level} %", *_cells(stats))
    table.add_section()
    table.add_row("all", *_cells(report.total))
    return table


def _classes(report: QualityReport) -> Table:
    """A line for each class and level, and one for the class's photos.

    Of many classes those with the fewest kept images.
    """

    table = _table("class", "level", *HEADS)
    by_class: dict[int | None, list[ClassLevelStats]] = {}
    for stats in report.by_class_and_level:
        by_class.setdefault(stats.label, []).append(stats)
    kept = {label: sum(stats.kept for stats in levels) for label, levels in by_class.items()}
    fewest = sorted(report.real, key=lambda photos: kept[photos.label])[:MOST_CLASSES]
    for photos in sorted(fewest, key=lambda photos: photos.label):
        name = photos.class_name
        for stats in by_class[photos.label]:
            table.add_row(name, f"{stats.level} %", *_cells(stats))
            name = ""
        table.add_row("", "photos", *_cells_of_photos(photos), style="dim", end_section=True)
    return table


def _table(*heads: str) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for column, head in enumerate(heads):
        table.add_column(head, justify="left" if column == 0 else "right")
    return table


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


def _print_explanation(terminal: Console, report: QualityReport) -> None:
    from discl.harness.bank.quality.quality_report import percent

    classifiers = report.classifiers
    terminal.print(
        "text, photo: median cosine with caption and photo. probe, captions: share of images that"
        " still show their class, by a ridge probe on\nreal photos (right on"
        f" {percent(classifiers.probe_val_accuracy, 1)} of val) and by the nearest captions"
        f" ({percent(classifiers.caption_val_accuracy, 1)}). diversity: mean 1 - cosine within"
        " class and level.\nsteps, bytes: for each kept image. --html shows pictures,"
        " --format json defines every figure.\n"
    )


def _print_duplicates(terminal: Console, report: QualityReport) -> None:

    near = report.near_duplicates
    if near.cosine_limit is None:
        return
    terminal.print(
        f"near-duplicates of val, test or ood photos: {near.found} of {near.images} images above"
        f" cosine {near.cosine_limit:.4f} ({(1 - near.quantile) * near.images:.1f} by chance),"
        f" {near.found_kept} of them kept"
    )
    for image in near.listed[:MOST_DUPLICATES]:
        terminal.print(
            f"  {image.cosine:.4f}  {image.class_name} level {image.level} draw {image.variant}"
            f" of {image.source}  ~  {image.split} {image.photo_id}  (pixels differ by"
            f" {image.pixel_difference:.3f}, {'kept' if image.kept else 'dropped'})"
        )
