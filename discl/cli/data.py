"""`discl data`: look at the photos, or fetch them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from discl.cli.options.completion import datasets
from discl.cli.options.group import CommandGroup
from discl.core.text import echo

Command = Callable[..., Any]


@click.group("data", cls=CommandGroup)
def data() -> None:
    """Look at the photos, or fetch them."""


def set_option(command: Command) -> Command:
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting of the dataset, e.g. --set root=photos or dataset.root=photos; repeatable.",
    )(command)


def parameters_of(dataset: str, settings: Sequence[str]) -> dict[str, Any]:
    """Parameters of a dataset, given as `root=...` or `dataset.root=...`.

    Raises UserError for other settings.
    """
    from discl.config.toml import parse_settings
    from discl.core.errors import UserError

    tables = parse_settings(settings)
    parameters = tables.pop("dataset", {})
    if not isinstance(parameters, dict):
        parameters = {"name": parameters}
    for key, value in tables.items():
        if isinstance(value, dict):
            raise UserError(f"--set {key}...: this command takes only settings of the dataset")
        if key in parameters:
            raise UserError(f"--set {key}=... and dataset.{key}=... are one setting; give it once")
        parameters[key] = value
    if "name" in parameters:
        raise UserError(f"the dataset is {dataset!r} already; leave its name out of --set")
    return parameters


def _build(dataset: str, settings: Sequence[str]) -> Any:
    """The dataset, or that of a benchmark, with the settings of its table."""
    from discl.config.load import available, load
    from discl.config.toml import to_toml
    from discl.core.errors import unknown
    from discl.core.registry import bind, names

    parameters = parameters_of(dataset, settings)
    if dataset in names("datasets"):
        return bind("datasets", dataset, parameters).build()
    if dataset not in available() and not Path(dataset).is_dir():  # of a folder `load` says more
        raise unknown("dataset", dataset, sorted({*names("datasets"), *available()}))
    given = [f"dataset.{key}={to_toml(value)}" for key, value in parameters.items()]
    return load(dataset, settings=given).part("datasets").build()


@data.command("info")
@click.argument("dataset", shell_complete=datasets)
@set_option
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a picture sheet here: .png, .webp or .svg.",
)
def data_info(dataset: str, settings: tuple[str, ...], sheet: Path | None) -> None:
    """What was understood of DATASET: photos per class, split and group, and each oddity.

    No photo is decoded. What was understood wrong is set by hand, e.g. --set label_column=species,
    or corrected in a table: see `discl data manifest`.
    """
    from rich.table import Table

    from discl.core.interfaces import InFiles
    from discl.core.text import console
    from discl.files.figure import check_figure
    from discl.harness.bank.dataset_overview import count_photos, photo_sheet
    from discl.harness.run.trackers import CompositeTracker

    if sheet:
        check_figure(sheet)
    built = _build(dataset, settings)
    counts = count_photos(built)
    table = Table("class", "group", *counts.splits, title=f"{dataset}: photos per class", box=None)
    species = getattr(built, "species", {})
    for name, group, photos in counts.rows:
        title = f"{species[name]} ({name})" if name in species else name
        table.add_row(title, group, *map(str, photos))
    table.add_section()
    totals = [sum(photos) for photos in zip(*(row[2] for row in counts.rows), strict=True)]
    table.add_row("all", "", *map(str, totals))
    console(120).print(table)
    echo(counts.note)
    _echo_understood(built)
    for note in built.notes if isinstance(built, InFiles) else ():
        echo(f"- {note}")
    if sheet:
        built.prepare(CompositeTracker.of(["console"]).progress)
        echo(f"picture sheet: {photo_sheet(built, sheet)}")


def _echo_understood(dataset: Any) -> None:
    """How a folder was read, and its groups; nothing for datasets that know their files."""
    from rich.table import Table

    from discl.core.text import console
    from discl.harness.bank.dataset_overview import count_groups

    names = getattr(dataset, "group_names", ())
    if names:
        groups = count_groups(dataset, names)
        table = Table("group", *groups.splits, "classes", title="photos per group", box=None)
        for name, photos, classes in groups.rows:
            table.add_row(name, *map(str, photos), classes)
        console(120).print(table)
        echo(groups.note)
    for what, choice, why in getattr(dataset, "decisions", ()):
        echo(f"understood: {what}: {choice} ({why})")


@data.command("manifest")
@click.argument("dataset", shell_complete=datasets)
@set_option
@click.option(
    "--export",
    "target",
    type=click.Path(path_type=Path),
    help="Write a row for each photo here, as CSV; a new file, outside of the photos' folder.",
)
def data_manifest(dataset: str, settings: tuple[str, ...], target: Path | None) -> None:
    """How DATASET was read, photo by photo, to be corrected by hand.

    \b
    discl data manifest folder --set root=photos --export photos.csv
    discl data info folder --set root=photos --set table=photos.csv
    """
    from discl.core.errors import UserError
    from discl.files.disk import check_output
    from discl.harness.run.trackers import CompositeTracker

    built = _build(dataset, settings)
    if not hasattr(built, "export"):
        raise UserError(
            f"{dataset} knows how its files are laid out and has no manifest; `discl data manifest`"
            " is for folders of your own, as `discl data manifest folder --set root=FOLDER`"
        )
    if target is not None:
        check_output(target)
    if target is not None and target.exists():
        raise UserError(
            f"{target} is there already; name a new file, so that no correction is lost"
        )
    _echo_understood(built)
    for remark in built.remarks():
        echo(f"- {remark}")
    if target is None:
        echo("--export FILE.csv writes a row for each photo, to be corrected by hand")
        return
    rows = built.export(target, CompositeTracker.of(["console"]).progress)
    echo(f"{target}: {rows:,} rows; --set dataset.table={target} reads it back")


@data.command("fetch")
@click.argument("dataset", shell_complete=datasets)
@set_option
def data_fetch(dataset: str, settings: tuple[str, ...]) -> None:
    """Download DATASET into its folder, whatever its size.

    An earlier download is resumed.

    \b
    discl data fetch iwildcam
    discl data fetch folder --set dataset.root=owner/name
    """
    from discl.harness.run.trackers import CompositeTracker

    built = _build(dataset, settings)
    progress = CompositeTracker.of(["console"]).progress
    # not isinstance(built, InFiles), which reads its properties, and these need the files
    fetch = getattr(built, "fetch", None)
    if fetch is not None:
        echo(f"{dataset} is at {fetch(progress)}")
        return
    built.prepare(progress)
    echo(f"{dataset} is ready")
