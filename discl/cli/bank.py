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
@click.option("--engine", default="local", show_default=True, help="Where the work is done; see `discl list executors`.")
@click.option("--workers", type=click.IntRange(1), help="Processes (local) or actors (ray) that make images side by side.")
@click.option("--address", help="Of a running Ray cluster, e.g. auto or head:6379; without it, one is started here.")
@click.option("--retry-failed", is_flag=True, help="Try again what could not be made before.")
def bank_build(levels: str | None, engine: str, workers: int | None, address: str | None, retry_failed: bool, **selection: Any) -> None:
    """Make the images BENCH needs and lacks; stop it at any time, and it goes on from there.

    Several builds of one bank may run at once, started together or not: no image is made twice.

    \b
    discl bank build cifar10_lt --workers 2
    discl bank build cifar10_lt --engine ray --address auto
    """
    from discl.spec.errors import UserError
    from discl.spec.registry import bind

    extra = selection["settings"]
    if levels is not None:
        if not all(part.strip().isdigit() for part in levels.split(",")):
            raise UserError(f"--levels {levels!r}: give whole percents separated by commas, e.g. 0,50")
        extra = (*extra, f"levels=[{levels}]")
    given = {"workers": workers, "address": address}
    executor = bind("executors", engine, {key: value for key, value in given.items() if value is not None}).build()
    bench, audience = opened(load(**{**selection, "settings": extra}))
    if retry_failed:
        bench.bank.forget(cell for cell, _ in bench.bank.failures())
    made = bench.fill(bench.spec.levels, audience.announce, executor)
    rate = f", {made.images / made.seconds:.1f} images/s" if made.images else ""
    click.echo(
        f"{made.images} images made ({made.denoising_steps} denoising steps{rate}), {sum(bench.bank.count().values())} in {bench.bank.folder}"
    )
    if failures := bench.bank.failures():
        cell, why = failures[0]
        click.echo(f"{len(failures)} could not be made, e.g. {cell.source} level {cell.level} variant {cell.variant}: {why}", err=True)


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
