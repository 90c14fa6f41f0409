"""`discl bank`: the images between text and photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import executors
from discl.cli.options.group import CommandGroup
from discl.cli.options.renamed import renamed_option
from discl.cli.options.selection import load, opened, selection
from discl.core.text import echo, echo_json

if TYPE_CHECKING:
    from discl.harness.bank.inventory import BankSummary
    from discl.harness.bank.quality.gap_curve import GapCurve
    from discl.harness.run.assembly import Bench
    from discl.harness.run.trackers import CompositeTracker

SHOWN = 20  # damaged rows named on the terminal


@click.group(cls=CommandGroup)
def bank() -> None:
    """The images between text and photo."""


@bank.command("build")
@selection
@click.option(
    "--levels", help="Only these levels, separated by commas; default: all of the benchmark."
)
@click.option(
    "--executor",
    default="local",
    show_default=True,
    shell_complete=executors,
    help="Where the work is done; see `discl list executors`.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes (local) or actors (ray) that make images side by side.",
)
@click.option(
    "--address",
    help="Address of a running Ray cluster, e.g. auto or head:6379; default: start one here.",
)
@renamed_option("--engine", "--executor")
@click.option("--retry-failed", is_flag=True, help="Try again what could not be made before.")
def bank_build(
    levels: str | None,
    executor: str,
    workers: int | None,
    address: str | None,
    retry_failed: bool,
    **selection: Any,
) -> None:
    """Make the images that BENCH needs and the bank lacks.

    It can be stopped at any time; the same command goes on from there. Several builds of one bank
    may run at once, and no image is made twice.

    \b
    discl bank build cifar10_lt --workers 2
    discl bank build cifar10_lt --executor ray --address auto
    """
    from discl.core.errors import UserError
    from discl.core.registry import bind
    from discl.harness.bank.prompt_remarks import prompt_remarks
    from discl.harness.bank.source_size import sentences, source_sizes

    extra = selection["settings"]
    if levels is not None:
        if not all(part.strip().isdigit() for part in levels.split(",")):
            raise UserError(
                f"--levels {levels!r}: give whole percents separated by commas, e.g. 0,50"
            )
        extra = (*extra, f"levels=[{levels}]")
    given = {"workers": workers, "address": address}
    built = bind(
        "executors", executor, {key: value for key, value in given.items() if value is not None}
    ).build()
    bench, tracker = opened(load(**{**selection, "settings": extra}))
    bench.find_hard(tracker.progress)
    if retry_failed:
        bench.bank.drop(cell for cell, _ in bench.bank.failures())
    for sentence in (*sentences(source_sizes(bench)), *prompt_remarks(bench)):
        echo(sentence, err=True)
    filled = bench.fill(bench.spec.levels, tracker.progress, built)
    rate = f", {filled.images / filled.seconds:.1f} images/s" if filled.images else ""
    echo(
        f"{filled.images} images made ({filled.denoising_steps} denoising steps{rate}),"
        f" {sum(bench.bank.count().values())} in {bench.bank.folder}"
    )
    _tell_failures(bench)
    _upload(bench)


def _tell_failures(bench: Bench) -> None:
    """How many images could not be made, and why the first one could not."""
    if failures := bench.bank.failures():
        cell, why = failures[0]
        echo(
            f"{len(failures)} could not be made, e.g. {cell.source} level {cell.level} variant"
            f" {cell.variant}: {why}",
            err=True,
        )


def _upload(bench: Bench) -> None:
    """Send the bank to W&B where runs are sent online; offline its pictures are not needed."""
    from discl.harness.wandb.client import ONLINE, read_settings
    from discl.parts.trackers.wandb import Wandb

    if "wandb" in bench.spec.trackers and read_settings().mode == ONLINE:
        tracker = Wandb()
        tracker.follow({"bank": str(bench.bank.folder.absolute()), "spec": bench.spec.model_dump()})
        tracker.close()


@bank.command("show")
@selection
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    default=Path("spectrum.png"),
    show_default=True,
    help="The figure: .png, .webp or .svg.",
)
@click.option(
    "--photos",
    default=8,
    show_default=True,
    type=click.IntRange(1, 100),
    help="How many photos, spread over the hard classes.",
)
def bank_show(output: Path, photos: int, **selection: Any) -> None:
    """Draw images of BENCH between text and photo.

    The figure has a row for each hard photo and a column for each level. Missing images are made
    first. Under each image stands its cosine with the caption; a red frame with a cross says that
    the threshold drops it. With bank.best_of above 1 the image is the draw that was picked. SVG
    keeps its words as text, for a paper:

    \b
    discl bank show cifar10_lt -o spectrum.svg --set bank.threshold=0.2
    """
    from discl.files.figure import check_figure, save_figure
    from discl.harness.bank.prompt_remarks import remarks_before_images
    from discl.harness.bank.source_size import sentences, source_sizes
    from discl.harness.bank.spectrum import spectrum

    check_figure(output)
    bench, tracker = opened(load(**selection))
    bench.find_hard(tracker.progress)
    for sentence in remarks_before_images(bench):
        echo(sentence, err=True)
    bench.fill(bench.spec.levels, tracker.progress)
    _tell_failures(bench)
    for sentence in sentences(source_sizes(bench)):
        echo(sentence)
    echo(f"spectrum: {save_figure(spectrum(bench, photos), output)}")


@bank.command("report")
@selection
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: every figure and its definition, for scripts.",
)
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
    from discl.cli.render.tables import tell_aside
    from discl.core.errors import UserError
    from discl.harness.worth.gap import GapMeasurement, GapSettings
    from discl.harness.worth.price import gap_minutes, minutes_text

    try:
        measurement = GapMeasurement(bench, GapSettings(tuple(range(seeds)), steps))
    except UserError as error:
        if wanted:
            raise
        tell_aside(str(error))
        return None
    if todo := measurement.todo():
        work = f"gap curve: {todo} classifiers to train, {measurement.classifier.steps} steps each"
        if not wanted:
            echo(f"{work}; add --gap", err=True)
            return None
        minutes = gap_minutes(bench, measurement)
        echo(f"{work}, time here: {minutes_text(minutes)}; they are kept", err=True)
    return measurement.curve(tracker.progress)


@bank.command("verify")
@selection
def bank_verify(**selection: Any) -> None:
    """Check every image of BENCH, and name damaged ones.

    Every stored byte is hashed again, every image is decoded, and what is known of it is compared
    with what the generator is asked for; `discl bank import` asks the same. Damaged images are
    dropped, so that the next build makes them again.
    """
    bench, _ = opened(load(**selection))
    damaged = list(bench.bank.verify(bench.image_rules()))
    for damage in damaged:
        where = (
            f"{damage.cell.source} level {damage.cell.level} variant {damage.cell.variant}: "
            if damage.cell
            else ""
        )
        echo(f"damaged: {where}{damage.why}")
    if not any(damage.cell is None for damage in damaged):
        total = sum(bench.bank.count().values())
        lost = bench.bank.drop(damage.cell for damage in damaged if damage.cell)
        echo(
            f"{total - lost} of {total} images are whole"
            + ("; run `discl bank build` to make the others again" if lost else "")
        )
    if damaged:
        raise click.exceptions.Exit(1)


@bank.command("digest")
@selection
def bank_digest(**selection: Any) -> None:
    """Print one SHA-256 over all images of BENCH.

    Two banks with the same digest hold the same bytes.
    """
    bench, _ = opened(load(**selection))
    echo(bench.bank.digest())


@bank.command("export")
@selection
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["parquet", "datasets"]),
    default="parquet",
    show_default=True,
    help="parquet: files any tool reads; datasets: a folder for `datasets.load_from_disk`.",
)
def bank_export(folder: Path, form: str, **selection: Any) -> None:
    """Write all images of BENCH into a new FOLDER, to share them.

    There is a row for each image, with its prompt, seed, scores and hash.

    The pictures are the stored bytes. Read them with any tool, or take them into another machine's
    bank with `discl bank import`:

    \b
    discl bank export cifar10_lt shared
    python -c "import datasets; print(datasets.load_dataset('shared')['train'][0])"
    """
    from discl.engine.bank.exchange import export_bank

    bench, tracker = opened(load(**selection))
    count = export_bank(bench.bank, bench.dataset.classes, folder, form, tracker.progress)
    echo(
        f"{count} images and {len(bench.bank.failures())} cells that could not be made are in"
        f" {folder}"
    )


@bank.command("import")
@selection
@click.argument("folder", type=click.Path(path_type=Path))
def bank_import(folder: Path, **selection: Any) -> None:
    """Import the images in FOLDER into the bank of BENCH.

    FOLDER was written by `discl bank export`. The images must come from the same process (dataset,
    generator, prompts, scorer, seed). Every row is checked and every image decoded; where one is at
    fault, it is named and nothing is taken. An image that the bank already has stays as it is.
    """
    from discl.core.errors import UserError
    from discl.engine.bank.exchange import import_bank

    bench, tracker = opened(load(**selection))
    done = import_bank(bench.bank, folder, tracker.progress, bench.image_rules())
    for row in done.rejected[:SHOWN]:
        echo(f"at fault: {row.name}: {row.why}")
    if len(done.rejected) > SHOWN:
        echo(f"... and {len(done.rejected) - SHOWN} more")
    if done.rejected:
        raise UserError(
            f"nothing was taken: {len(done.rejected)} rows of {folder} are at fault; export them"
            " again where they were made, after `discl bank verify` there"
        )
    differing = f" ({done.differing} with other bytes, left as they are)" if done.differing else ""
    echo(f"{done.new} images taken, {done.existing} were there{differing}; {bench.bank.folder}")


@bank.command("ls")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="json: one list, for scripts.",
)
@renamed_option("--json", "--format json", takes_value=False)
def bank_ls(form: str) -> None:
    """List every bank of this machine.

    For each: what made it, what it holds, its size, and which benchmarks and runs use it. A bank is
    shared by all benchmarks and runs of one process (dataset, generator, prompts, scorer, seed).
    `discl bank gc` removes banks that nothing uses.
    """
    from discl.harness.bank.inventory import bank_summaries
    from discl.harness.bank.references import find_references

    references = find_references()
    summaries = list(bank_summaries(references))
    if form == "json":
        echo_json([_plain(summary) for summary in summaries])
    elif not summaries:
        echo("no bank on this machine yet; `discl bank build BENCH` makes one")
    else:
        _print_banks(summaries)
        for possible in references.possible:
            echo(f"not known: {possible.why}")


def _plain(summary: BankSummary) -> dict[str, Any]:
    """A summary as JSON types."""
    from dataclasses import asdict
    from datetime import UTC, datetime

    written = datetime.fromtimestamp(int(summary.written), UTC).isoformat()
    return asdict(summary) | {
        "folder": str(summary.folder),
        "bytes": summary.bytes._asdict(),
        "written": written,
    }


def _print_banks(summaries: list[BankSummary]) -> None:
    from datetime import datetime

    from discl.cli.render.tables import show

    words = ["bank", "dataset", "generator", "prompts", "images by level", "used by"]
    rows = []
    for summary in summaries:
        levels = " ".join(f"{level}%:{count}" for level, count in sorted(summary.images.items()))
        runs = [f"{summary.runs} runs"] if summary.runs else []
        written = datetime.fromtimestamp(summary.written).astimezone()
        row = [
            summary.id,
            summary.dataset,
            summary.generator,
            summary.prompts,
            summary.problem or levels or "none",
            ", ".join([*summary.benchmarks, *runs]) or "none known",
            str(summary.failed),
            _megabytes(summary.bytes.shards),
            _megabytes(summary.bytes.cache),
            written.strftime("%Y-%m-%d %H:%M"),
        ]
        rows.append(row)
    show(
        "",
        [*words, "failed", "shards", "cache", "written"],
        rows,
        left=len(words),
        worth=["images by level", "shards", "used by", "generator", "dataset", "written", "failed"],
        elsewhere="--format json",
    )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


@bank.command("gc")
@click.option("--yes", is_flag=True, help="Do what is listed; without it nothing is touched.")
@click.option("--recent", is_flag=True, help="Take banks, too, that were used within a day.")
def bank_gc(yes: bool, recent: bool) -> None:
    """Move banks and leftover files that nothing uses to the trash, and empty that of before.

    Without --yes they are only listed, with their size. Banks go that no benchmark file (at any
    scale) and no run refers to; in other banks, caches and shards whose images were replaced,
    damaged catalogues, and files left half-written for a day. They are renamed into the folder
    banks/trash: until the next `discl bank gc --yes`, which empties it, they can be moved back.

    Kept are banks that are open or being filled, those of runs that are under way or have a
    checkpoint, all while a sweep is under way, banks of a dataset whose photos are not on this
    machine, because it is unknown which bank they need, and without --recent those that were used
    within a day. A bank made with --set belongs to no benchmark file.

    Starts (train.start) that no run refers to are removed at once: a run that needs one makes it
    again. Manifests of photos that nobody has read for 30 days go to the trash of
    $DISCL_DATA/manifests: a folder that is read again is listed again.
    """
    from discl.cli.render.tables import tell
    from discl.config.load import folders
    from discl.harness.bank.gc import plan_removals, remove, trash_folder
    from discl.harness.bank.references import find_references
    from discl.harness.run.trackers import CompositeTracker

    progress = CompositeTracker.of(["console"]).progress
    plan = plan_removals(find_references(), progress, recent=recent)
    if plan.kept or plan.removals:
        tell(f"benchmarks asked: those in {', '.join(map(str, folders()))}")
    for bank, reason in plan.kept:
        tell(f"kept   {bank}  {reason}")
    for removal in plan.removals:
        verb = "freed " if removal.trash else "goes  "
        tell(f"{verb} {removal.bank.name}  {removal.what}: {_megabytes(removal.bytes)}")
    others = _remove_starts(yes, recent) + _remove_manifests(yes)
    removed = remove(plan) if yes else None
    if not plan.removals:
        tell("nothing else to remove" if others else "nothing to remove")
    elif removed is None:
        echo(
            f"{_megabytes(plan.freed)} of the trash would be freed, and {_megabytes(plan.moved)}"
            " moved there, which the time after frees; add --yes to do so"
        )
    else:
        for failure in removed.failures:
            echo(f"stayed {failure}")
        echo(f"{_megabytes(removed.freed)} freed")
        if removed.moved:
            echo(
                f"{_megabytes(removed.moved)} moved to {removed.trash}; `discl bank gc --yes` frees"
                f" them, and until then what lies there can be moved back to"
                f" {trash_folder().parent}"
            )


def _remove_manifests(yes: bool) -> int:
    """Move manifests that nobody reads to their trash, and count them; without `yes` list them."""
    from discl.harness.bank.old_manifests import old_manifests, remove_old

    found = old_manifests()
    if not found.folders and not found.trash:
        return 0
    moved = f"{len(found.folders)} that nobody has read for 30 days: {_megabytes(found.bytes)}"
    freed = f"{_megabytes(found.trash_bytes)} of their trash"
    if yes:
        remove_old(found)
        echo(f"moved  manifests  {moved}; {freed} freed")
    else:
        echo(f"goes   manifests  {moved}; {freed} would be freed")
    return len(found.folders) + len(found.trash)


def _remove_starts(yes: bool, recent: bool) -> int:
    """Remove the starts that no run refers to, and count them; without `yes` only list them."""
    from discl.harness.run.start.unused import found_starts, remove_start
    from discl.harness.run.store import Store

    found = found_starts(Store(), recent=recent)
    for start in found:
        if start.why_kept:
            echo(f"kept   start {start.id}  {start.why_kept}")
        elif not yes:
            echo(f"goes   start {start.id}  no run refers to it: {_megabytes(start.bytes)}")
        elif remove_start(start.id):
            echo(f"freed  start {start.id}  no run refers to it: {_megabytes(start.bytes)}")
    return sum(not start.why_kept for start in found)
