"""`discl bank verify`, `digest`, `export` and `import`: whether images are whole, and sharing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from discl.cli.options.output import format_option
from discl.cli.options.selection import load, opened, selection
from discl.core.text import counted, echo

SHOWN = 20  # damaged rows named on the terminal


@click.command("verify")
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


@click.command("digest")
@selection
def bank_digest(**selection: Any) -> None:
    """Print one SHA-256 over all images of BENCH.

    Two banks with the same digest hold the same bytes.
    """
    bench, _ = opened(load(**selection))
    echo(bench.bank.digest())


@click.command("export")
@selection
@click.argument("folder", type=click.Path(path_type=Path))
@format_option(
    "parquet: files any tool reads; datasets: a folder for `datasets.load_from_disk`.",
    forms=("parquet", "datasets"),
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
    target_of = bench.sources.target_of if bench.sources.have_targets else None
    count = export_bank(
        bench.bank, bench.dataset.classes, folder, form, tracker.progress, target_of
    )
    echo(
        f"{counted(count, 'image')} and {counted(len(bench.bank.failures()), 'cell')} that could"
        f" not be made are in {folder}"
    )


@click.command("import")
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
    echo(
        f"{counted(done.new, 'image')} taken, {done.existing} were there{differing};"
        f" {bench.bank.folder}"
    )
