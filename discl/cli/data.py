"""`discl data`: look at the photos."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("data")
def data() -> None:
    """Look at the photos."""


@data.command("info")
@click.argument("dataset")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A parameter of the dataset, e.g. --set largest=1000.")
@click.option("--sheet", type=click.Path(dir_okay=False, path_type=Path), help="Also write a picture sheet here (.png).")
def data_info(dataset: str, settings: tuple[str, ...], sheet: Path | None) -> None:
    """Photos per class and per split of DATASET."""
    from rich.console import Console
    from rich.table import Table

    from discl.harness.show import class_counts, photo_sheet
    from discl.spec.benchmark import parameters
    from discl.spec.registry import bind

    built = bind("datasets", dataset, parameters(settings)).build()
    counts = class_counts(built)
    table = Table("class", "group", *counts.splits, title=f"{dataset}: photos per class", box=None)
    for name, group, row in counts.rows:
        table.add_row(name, group, *map(str, row))
    table.add_section()
    table.add_row("all", "", *(str(sum(row[i] for _, _, row in counts.rows)) for i in range(len(counts.splits))))
    Console().print(table)
    click.echo(counts.note)
    if sheet:
        click.echo(f"picture sheet: {photo_sheet(built, sheet)}")
