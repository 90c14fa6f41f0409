"""`discl bank`: the images between text and photo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from discl.cli._selection import load, opened, selection

SHOWN = 20  # damaged rows named on the terminal


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
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), default=Path("spectrum.png"), show_default=True)
@click.option("--photos", default=8, show_default=True, type=click.IntRange(1, 100), help="How many photos, spread over the hard classes.")
def bank_show(output: Path, photos: int, **selection: Any) -> None:
    """Write the contact sheet of BENCH: a line a photo, from level 0 to the photo. Red frames: below the threshold."""
    from discl.harness.show import spectrum_sheet

    bench, audience = opened(load(**selection))
    bench.fill(bench.spec.levels, audience.announce)
    click.echo(f"contact sheet: {spectrum_sheet(bench, output, photos)}")


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


@bank.command("export")
@selection
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format", "form", type=click.Choice(["parquet", "datasets"]), default="parquet", show_default=True,
    help="parquet: files any tool reads, and the Hub shows; datasets: a folder for `datasets.load_from_disk`.",
)  # fmt: skip
def bank_export(folder: Path, form: str, **selection: Any) -> None:
    """Write all images of BENCH into a new FOLDER, to share them: a row an image, with its prompt, seed, scores and hash.

    The pictures are the stored bytes. Read them with any tool, or take them into another machine's bank with `discl bank import`:

    \b
    discl bank export cifar10_lt shared
    python -c "import datasets; print(datasets.load_dataset('shared')['train'][0])"
    """
    from discl.engine.exchange import export_bank

    bench, audience = opened(load(**selection))
    count = export_bank(bench.bank, bench.dataset.classes, folder, form, audience.announce)
    click.echo(f"{count} images and {len(bench.bank.failures())} cells that could not be made are in {folder}")


@bank.command("import")
@selection
@click.argument("folder", type=click.Path(path_type=Path))
def bank_import(folder: Path, **selection: Any) -> None:
    """Take the images that `discl bank export` wrote to FOLDER into the bank of BENCH, instead of making them again.

    They must come from the same process (dataset, generator, prompts, scorer, seed). Every image is checked against its hash; a
    damaged one is named and left out, so that the next build makes just that. What the bank has already stays as it is.
    """
    from discl.engine.exchange import import_bank

    bench, audience = opened(load(**selection))
    done = import_bank(bench.bank, folder, audience.announce)
    for row in done.set_aside[:SHOWN]:
        click.echo(f"set aside: {row.name}: {row.why}")
    if len(done.set_aside) > SHOWN:
        click.echo(f"... and {len(done.set_aside) - SHOWN} more")
    differing = f" ({done.differing} with other bytes, left as they are)" if done.differing else ""
    click.echo(f"{done.new} images taken, {done.there} were there{differing}, {len(done.set_aside)} set aside; {bench.bank.folder}")
    if done.set_aside:
        raise click.exceptions.Exit(1)
