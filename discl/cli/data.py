"""`discl data`: look at the photos, or fetch them."""

from __future__ import annotations

from pathlib import Path

import click

from discl.cli.options.completion import datasets


@click.group("data")
def data() -> None:
    """Look at the photos, or fetch them."""


@data.command("info")
@click.argument("dataset", shell_complete=datasets)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the dataset, e.g. --set largest=1000.",
)
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a picture sheet here (.png).",
)
def data_info(dataset: str, settings: tuple[str, ...], sheet: Path | None) -> None:
    """Photos per class and per split of DATASET."""
    from rich.console import Console
    from rich.table import Table

    from discl.config.toml import parse_settings
    from discl.core.interfaces import InFiles
    from discl.core.registry import bind
    from discl.harness.bank.spectrum import class_counts, photo_sheet
    from discl.harness.run.trackers import CompositeTracker

    built = bind("datasets", dataset, parse_settings(settings)).build()
    counts = class_counts(built)
    table = Table("class", "group", *counts.splits, title=f"{dataset}: photos per class", box=None)
    for name, group, row in counts.rows:
        table.add_row(name, group, *map(str, row))
    table.add_section()
    table.add_row(
        "all",
        "",
        *(str(sum(row[i] for _, _, row in counts.rows)) for i in range(len(counts.splits))),
    )
    Console().print(table)
    click.echo(counts.note)
    for note in built.notes if isinstance(built, InFiles) else ():
        click.echo(f"- {note}")
    if sheet:
        built.prepare(CompositeTracker.of(["console"]).progress)
        click.echo(f"picture sheet: {photo_sheet(built, sheet)}")


@data.command("fetch")
@click.argument("dataset", shell_complete=datasets)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter of the dataset, e.g. --set root=owner/name.",
)
def data_fetch(dataset: str, settings: tuple[str, ...]) -> None:
    """Download DATASET into the folder where it is looked for, whatever its size; goes on where it
    broke off.

    \b
    discl data fetch iwildcam
    discl data fetch folder --set root=owner/name
    """
    from discl.config.toml import parse_settings
    from discl.core.interfaces import InFiles
    from discl.core.registry import bind
    from discl.harness.run.trackers import CompositeTracker

    built = bind("datasets", dataset, parse_settings(settings)).build()
    progress = CompositeTracker.of(["console"]).progress
    if isinstance(built, InFiles):
        click.echo(f"{dataset} is at {built.fetch(progress)}")
        return
    built.prepare(progress)
    click.echo(f"{dataset} is ready")
