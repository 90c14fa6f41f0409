"""`discl data`: look at the photos, or fetch them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from discl.cli.options.completion import datasets
from discl.cli.options.group import CommandGroup
from discl.cli.options.selection import dataset_set_option
from discl.core.text import echo


@click.group("data", cls=CommandGroup)
def data() -> None:
    """Look at the photos, or fetch them."""


def full_paths(dataset: str, settings: Sequence[str]) -> list[str]:
    """The settings by the paths that every command takes: `root=photos` is `dataset.root=photos`.

    Raises UserError where a setting has no `=`, would choose another dataset, or is given both ways
    with two values.
    """
    from discl.config.benchmark import Benchmark
    from discl.config.toml import parse_setting
    from discl.core.errors import UserError

    full = list[str]()
    long = {path for setting in settings if "." in (path := parse_setting(setting)[0])}
    for setting in settings:
        path, _ = parse_setting(setting)
        if path in ("name", "dataset", "dataset.name"):
            raise UserError(f"the dataset is {dataset!r} already; leave its name out of --set")
        if "." not in path and path not in Benchmark.model_fields:
            if f"dataset.{path}" in long:
                raise UserError(
                    f"--set {path}=... and dataset.{path}=... are one setting; give it once"
                )
            setting = f"dataset.{setting.lstrip()}"
        full.append(setting)
    return full


def _build(dataset: str, settings: Sequence[str]) -> Any:
    """The dataset, or that of a benchmark, with the settings."""
    from discl.config.load import available, load
    from discl.config.toml import parse_settings
    from discl.core.errors import UserError, unknown
    from discl.core.registry import bind, names

    full = full_paths(dataset, settings)
    tables = parse_settings(full)
    if dataset in names("datasets") and not tables.keys() - {"dataset"}:
        return bind("datasets", dataset, tables.get("dataset", {})).build()
    if dataset not in available() and not Path(dataset).is_dir():  # of a folder `load` says more
        if dataset in names("datasets"):
            raise UserError(
                f"{dataset} is a dataset and no benchmark, so it takes only --set dataset.KEY=VALUE"
            )
        raise unknown("dataset", dataset, sorted({*names("datasets"), *available()}))
    return load(dataset, settings=full).part("datasets").build()


@data.command("info")
@click.argument("dataset", shell_complete=datasets)
@dataset_set_option
@click.option(
    "--sheet",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a picture sheet here: .png, .webp or .svg.",
)
def data_info(dataset: str, settings: tuple[str, ...], sheet: Path | None) -> None:
    """What was understood of DATASET: photos per class, split and group, and each oddity.

    No photo is decoded. What was understood wrong is set by hand, e.g. --set
    dataset.label_column=species, or corrected in a table: see `discl data manifest`.
    """
    from discl.cli.render.tables import show, tell
    from discl.core.interfaces import InFiles
    from discl.files.figure import check_figure
    from discl.harness.bank.dataset_overview import count_photos, photo_sheet
    from discl.harness.run.trackers import CompositeTracker

    if sheet:
        check_figure(sheet)
    built = _build(dataset, settings)
    counts = count_photos(built)
    species = getattr(built, "species", {})
    rows = [
        [f"{species[name]} ({name})" if name in species else name, group, *map(str, photos)]
        for name, group, photos in counts.rows
    ]
    totals = [sum(photos) for photos in zip(*(row[2] for row in counts.rows), strict=True)]
    if totals:
        rows.append(["all", "", *map(str, totals)])
    show(
        f"{dataset}: photos per class",
        ["class", "group", *counts.splits],
        rows,
        left=2,
        worth=["train", "val", "test", "group"],
    )
    tell(counts.note)
    _echo_understood(built)
    for note in built.notes if isinstance(built, InFiles) else ():
        tell(f"- {note}")
    if sheet:
        built.prepare(CompositeTracker.of(["console"]).progress)
        echo(f"picture sheet: {photo_sheet(built, sheet)}")


def _echo_understood(dataset: Any) -> None:
    """How a folder was read, and its groups; nothing for datasets that know their files."""
    from discl.cli.render.tables import show, tell
    from discl.harness.bank.dataset_overview import count_groups

    names = getattr(dataset, "group_names", ())
    if names:
        groups = count_groups(dataset, names)
        rows = [[name, classes, *map(str, photos)] for name, photos, classes in groups.rows]
        show(
            "photos per group",
            ["group", "classes", *groups.splits],
            rows,
            left=2,
            worth=["train", "val", "test", "classes"],
        )
        tell(groups.note)
    for what, choice, why in getattr(dataset, "decisions", ()):
        tell(f"understood: {what}: {choice} ({why})")


@data.command("manifest")
@click.argument("dataset", shell_complete=datasets)
@dataset_set_option
@click.option(
    "--export",
    "target",
    type=click.Path(path_type=Path),
    help="Write a row for each photo here, as CSV; a new file, outside of the photos' folder.",
)
def data_manifest(dataset: str, settings: tuple[str, ...], target: Path | None) -> None:
    """How DATASET was read, photo by photo, to be corrected by hand.

    \b
    discl data manifest folder --set dataset.root=photos --export photos.csv
    discl data info folder --set dataset.root=photos --set dataset.table=photos.csv
    """
    from discl.core.errors import UserError
    from discl.files.disk import check_output
    from discl.harness.run.trackers import CompositeTracker

    built = _build(dataset, settings)
    if not hasattr(built, "export"):
        raise UserError(
            f"{dataset} knows how its files are laid out and has no manifest; `discl data manifest`"
            " is for folders of your own, as `discl data manifest folder --set dataset.root=FOLDER`"
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
@dataset_set_option
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
