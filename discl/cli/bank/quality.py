"""`discl bank report`: how good the images are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.output import format_option
from discl.cli.options.renamed import renamed_option
from discl.cli.options.selection import load, opened, selection
from discl.core.text import counted, echo, echo_json

if TYPE_CHECKING:
    from discl.harness.bank.quality.gap_curve import GapCurve
    from discl.harness.run.assembly import Bench
    from discl.harness.run.trackers import CompositeTracker


@click.command("report")
@selection
@format_option("json: every figure and its definition, for scripts.")
@renamed_option("--json", "--format json > FILE")
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write one self-contained page with pictures here.",
)
@click.option(
    "--few",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="Warn of a class with fewer kept images at a level.",
)
@click.option(
    "--quantile",
    default=0.999,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share of real training photos no near-duplicate may be.",
)
@click.option(
    "--list",
    "listed",
    default=24,
    show_default=True,
    type=click.IntRange(0),
    help="How many near-duplicates are shown.",
)
@click.option(
    "--gap/--no-gap",
    "gap",
    default=None,
    help="Measure the gap curve; default: show it where it was measured before.",
)
@click.option(
    "--gap-seeds",
    default=3,
    show_default=True,
    type=click.IntRange(1, 100),
    help="Classifiers trained on each level alone.",
)
@click.option(
    "--gap-steps",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Optimiser steps of each.",
)
@click.option(
    "--gap-figure",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Draw the gap curve here (.png, .svg, .pdf).",
)
def bank_report(
    form: str,
    html_file: Path | None,
    few: int,
    quantile: float,
    listed: int,
    gap: bool | None,
    gap_seeds: int,
    gap_steps: int,
    gap_figure: Path | None,
    **selection: Any,
) -> None:
    """Report the quality of the images of BENCH.

    For each class and level: images made and kept, scores, whether they still show their class, how
    much they differ from each other, what a kept image costs; and images that look like copies of
    val, test or ood photos. No image is made. The first report embeds all photos and images
    (minutes, or longer on large data); later ones reuse that. --html needs the extra `report`.

    The gap curve says how far the images are from real photos: small classifiers of the hard
    classes, each trained on images of one level alone, and measured on val photos; beside them the
    same on real photos. They are kept, too. Try a threshold before you train with it:

    \b
    discl bank report cifar10_lt --set bank.threshold=0.86
    discl bank report cifar10_lt --html report.html
    discl bank report cifar10_lt --gap --gap-figure gap.png
    discl bank report cifar10_lt --format json > report.json
    """
    from discl.cli.render.quality import print_gap, print_quality
    from discl.harness.bank.quality.gap_chart import check_gap_figure, draw_gap
    from discl.harness.bank.quality.gap_curve import gap_definitions, gap_json
    from discl.harness.bank.quality.measure import QualityLimits, measure_quality
    from discl.harness.bank.quality.page import check_page, save_page
    from discl.harness.bank.quality.quality_report import as_json

    if html_file:
        check_page(html_file)
    if gap_figure:
        check_gap_figure(gap_figure)
    bench, tracker = opened(load(**selection))
    report = measure_quality(bench, tracker.progress, QualityLimits(few, quantile, listed))
    wanted = True if gap_figure else gap
    curve = None if wanted is False else _gap_curve(bench, tracker, wanted, gap_seeds, gap_steps)
    if curve and gap_figure:
        echo(f"gap curve: {draw_gap(curve, gap_figure)}", err=form == "json")
    if html_file:
        echo(f"page: {save_page(report, bench, html_file, curve)}", err=form == "json")
    if form == "json":
        plain = as_json(report)
        if curve:
            plain["gap"] = gap_json(curve)
            plain["definitions"] |= gap_definitions()
        echo_json(plain, finite=True)
    elif not html_file:
        print_quality(report)
        if curve:
            print_gap(curve)


def _gap_curve(
    bench: Bench, tracker: CompositeTracker, wanted: bool | None, seeds: int, steps: int
) -> GapCurve | None:
    """The gap curve; its price is said first.

    None where it was not asked for and is not there, or cannot be measured.
    """
    from discl.core.errors import UserError
    from discl.harness.worth.gap import GapMeasurement, GapSettings
    from discl.harness.worth.price import gap_minutes, minutes_text

    try:
        measurement = GapMeasurement(bench, GapSettings(tuple(range(seeds)), steps))
    except UserError as error:
        if wanted:
            raise
        echo(error, err=True)
        return None
    if todo := measurement.todo():
        work = (
            f"gap curve: {counted(todo, 'classifier')} to train,"
            f" {counted(measurement.classifier.steps, 'step')} each"
        )
        if not wanted:
            echo(f"{work}; add --gap", err=True)
            return None
        minutes = gap_minutes(bench, measurement)
        echo(f"{work}, time here: {minutes_text(minutes)}; they are kept", err=True)
    return measurement.curve(tracker.progress)
