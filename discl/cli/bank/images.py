"""`discl bank build` and `show`: making images, and looking at them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.launching import address_option, executor_option
from discl.cli.options.renamed import renamed_option
from discl.cli.options.selection import load, opened, selection
from discl.core.text import counted, echo

if TYPE_CHECKING:
    from discl.harness.run.assembly import Bench


@click.command("build")
@selection
@click.option(
    "--levels", help="Only these levels, separated by commas; default: all of the benchmark."
)
@executor_option
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes (local) or actors (ray) that make images side by side.",
)
@address_option
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
    from discl.cli.render.bench import tell_device
    from discl.core.compute.device import check_visible_devices
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
    check_visible_devices()
    bench, tracker = opened(load(**{**selection, "settings": extra}))
    bench.find_hard(tracker.progress)
    if retry_failed:
        bench.bank.drop(cell for cell, _ in bench.bank.failures())
    for sentence in (*sentences(source_sizes(bench)), *prompt_remarks(bench)):
        echo(sentence, err=True)
    tell_device(bench.spec, trains=False)
    filled = bench.fill(bench.spec.levels, tracker.progress, built)
    rate = f", {filled.images / filled.seconds:.1f} images/s" if filled.images else ""
    echo(
        f"{counted(filled.images, 'image')} made"
        f" ({counted(filled.denoising_steps, 'denoising step')}{rate}),"
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


@click.command("show")
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
