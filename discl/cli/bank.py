"""`discl bank`: the images between text and photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from discl.cli._selection import load, opened, selection


@click.group()
def bank() -> None:
    """The images between text and photo."""


@bank.command("build")
@selection
@click.option("--levels", help="Only these levels, separated by commas; default: all of the benchmark.")
def bank_build(levels: str | None, **selection: Any) -> None:
    """Make the images BENCH needs and lacks; stop it at any time, and it goes on from there."""
    from discl.spec.errors import UserError

    extra = selection["settings"]
    if levels is not None:
        if not all(part.strip().isdigit() for part in levels.split(",")):
            raise UserError(f"--levels {levels!r}: give whole percents separated by commas, e.g. 0,50")
        extra = (*extra, f"levels=[{levels}]")
    bench, audience = opened(load(**{**selection, "settings": extra}))
    made = bench.fill(bench.spec.levels, audience.announce)
    rate = f", {made.images / made.seconds:.1f} images/s" if made.images else ""
    click.echo(
        f"{made.images} images made ({made.denoising_steps} denoising steps{rate}), {sum(bench.bank.count().values())} in {bench.bank.folder}"
    )


@bank.command("show")
@selection
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), default=Path("spectrum.png"), show_default=True, help="The figure: .png, .webp or .svg."
)
@click.option("--photos", default=8, show_default=True, type=click.IntRange(1, 100), help="How many photos, spread over the hard classes.")
def bank_show(output: Path, photos: int, **selection: Any) -> None:
    """Draw the spectrum of BENCH: a line a hard photo, a column a level, from text only to the photo.

    Makes the images that are missing. Under each image stands its cosine with the caption; a red frame with a cross says that the
    threshold drops it. With bank.best_of above 1 the image is the draw that was picked. SVG keeps its words as text, for a paper:

    \b
    discl bank show cifar10_lt -o spectrum.svg --set bank.threshold=0.2
    """
    from discl.files.figure import check_figure, save_figure
    from discl.harness.show import spectrum

    check_figure(output)
    bench, audience = opened(load(**selection))
    bench.fill(bench.spec.levels, audience.announce)
    click.echo(f"spectrum: {save_figure(spectrum(bench, photos), output)}")


@bank.command("verify")
@selection
def bank_verify(**selection: Any) -> None:
    """Re-hash every stored byte; damaged images are named and forgotten, so that the next build makes just those."""
    bench, _ = opened(load(**selection))
    damaged = list(bench.bank.verify())
    for damage in damaged:
        where = f"{damage.cell.source} level {damage.cell.level} variant {damage.cell.variant}: " if damage.cell else ""
        click.echo(f"damaged: {where}{damage.why}")
    if not any(damage.cell is None for damage in damaged):
        total = sum(bench.bank.count().values())
        lost = bench.bank.forget(damage.cell for damage in damaged if damage.cell)
        click.echo(f"{total - lost} of {total} images are whole" + ("; run `discl bank build` to make the others again" if lost else ""))
    if damaged:
        raise click.exceptions.Exit(1)


@bank.command("digest")
@selection
def bank_digest(**selection: Any) -> None:
    """One SHA-256 over all images: two banks with the same digest hold the same bytes."""
    bench, _ = opened(load(**selection))
    click.echo(bench.bank.digest())
