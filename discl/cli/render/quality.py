"""A report on a bank on the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from discl.harness.bank.quality.facts import Lot, Quality

SHOWN, SHOWN_CLASSES = 5, 20  # near-duplicates and classes on the terminal
HEADS = ("kept/made", "text", "photo", "probe", "captions", "diversity", "copies", "steps", "bytes")


def print_quality(quality: Quality) -> None:
    """Warnings, then levels, then classes by level, then the near-duplicates."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(
        f"[bold]bank {quality.bank} as {escape(quality.benchmark)} at scale {quality.scale} uses"
        " it[/]"
    )
    console.print(
        f"{quality.variants} images a photo and level, best of {quality.best_of}, threshold"
        f" {quality.threshold:g}\n"
    )
    for warning in quality.warnings:
        console.print(f"[bold red]![/] {escape(warning)}")
    console.print()
    console.print(_levels(quality), end="\n\n")
    console.print(_classes(quality))
    if len(quality.real) > SHOWN_CLASSES:
        console.print(
            f"the {SHOWN_CLASSES} classes with the fewest kept images of {len(quality.real)};"
            " --html and --json have them all\n"
        )
    _say_how_to_read(console, quality)
    _print_duplicates(console, quality)


def _levels(quality: Quality) -> Table:
    table = _table("level", *HEADS)
    for lot in quality.levels:
        table.add_row(f"{lot.level} %", *_cells(lot))
    table.add_section()
    table.add_row("all", *_cells(quality.total))
    return table


def _classes(quality: Quality) -> Table:
    """A line a class and level, and one for the class's photos; of many classes those with the
    fewest kept images.
    """
    from rich.markup import escape

    from discl.harness.bank.quality.facts import number, percent

    table = _table("class", "level", *HEADS)
    kept = {
        one.label: sum(lot.kept for lot in quality.lots if lot.label == one.label)
        for one in quality.real
    }
    fewest = sorted(quality.real, key=lambda one: kept[one.label])[:SHOWN_CLASSES]
    for one in sorted(fewest, key=lambda one: one.label):
        for i, lot in enumerate(lot for lot in quality.lots if lot.label == one.label):
            table.add_row("" if i else escape(one.class_name), f"{lot.level} %", *_cells(lot))
        figures = (
            percent(one.probe_retention),
            percent(one.caption_retention),
            number(one.diversity),
        )
        table.add_row(
            "",
            "photos",
            str(one.hard_photos),
            "",
            "",
            *figures,
            "",
            "",
            "",
            style="dim",
            end_section=True,
        )
    return table


def _table(*heads: str) -> Table:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 else "right")
    return table


def _cells(lot: Lot) -> list[str]:
    from discl.harness.bank.quality.facts import count, number, percent

    return [
        f"{lot.kept}/{lot.made}",
        number(lot.text_score),
        number(lot.photo_score),
        percent(lot.probe_retention),
        percent(lot.caption_retention),
        number(lot.diversity),
        str(lot.near_duplicates),
        number(lot.denoising_steps_per_kept, 1),
        count(lot.bytes_per_kept),
    ]


def _say_how_to_read(console: Console, quality: Quality) -> None:
    from discl.harness.bank.quality.facts import percent

    judges = quality.judges
    console.print(
        "text, photo: median cosine with caption and photo. probe, captions: share of images that"
        " still show their class, by a ridge probe on\nreal photos (right on"
        f" {percent(judges.probe_val_accuracy, 1)} of val) and by the nearest captions"
        f" ({percent(judges.caption_val_accuracy, 1)}). diversity: mean 1 - cosine within class and"
        " level.\nsteps, bytes: for each kept image. --html shows pictures, --json defines every"
        " figure.\n"
    )


def _print_duplicates(console: Console, quality: Quality) -> None:
    from rich.markup import escape

    near = quality.near_duplicates
    if near.cosine_limit is None:
        return
    console.print(
        f"near-duplicates of val, test or ood photos: {near.found} of {near.images} images above"
        f" cosine {near.cosine_limit:.4f} ({(1 - near.quantile) * near.images:.1f} by chance),"
        f" {near.found_kept} of them kept"
    )
    for one in near.listed[:SHOWN]:
        console.print(
            escape(
                f"  {one.cosine:.4f}  {one.class_name} level {one.level} draw {one.variant} of"
                f" {one.source}  ~  {one.split} {one.photo_id}  (pixels differ by"
                f" {one.pixel_difference:.3f}, {'kept' if one.kept else 'dropped'})"
            )
        )
