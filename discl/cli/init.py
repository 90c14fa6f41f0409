"""`discl init`: a benchmark file for a folder of photos, or for settings to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from discl.cli.data import full_paths
from discl.cli.options.completion import benchmarks
from discl.cli.options.selection import choices, dataset_set_option
from discl.core.plain_files import plain_text
from discl.core.text import echo


@click.command()
@click.argument("words", nargs=-1, metavar="FOLDER [NAME]")
@click.option("--name", default="", help="Name of the benchmark, as NAME; otherwise of FOLDER.")
@click.option(
    "--from",
    "source",
    metavar="BENCH",
    shell_complete=benchmarks,
    help="Keep settings of this benchmark under NAME; there is no FOLDER then.",
)
@click.option("--strategies", help="The strategies of NAME, separated by commas.")
@click.option("--seeds", help="The seeds of NAME, separated by commas.")
@dataset_set_option
def init(
    words: tuple[str, ...],
    name: str,
    source: str | None,
    strategies: str | None,
    seeds: str | None,
    settings: tuple[str, ...],
) -> None:
    """Write benchmarks/NAME.toml for the photos in FOLDER, or for the settings of --from BENCH.

    It says what was understood, and what may be set. After that every command takes NAME and needs
    no --set. Nothing is copied, and no photo is decoded. Runs are shared: what BENCH ran with the
    same settings is not made again for NAME.

    \b
    discl init photos
    discl init /data/traps traps --set dataset.ood_groups=0.2
    discl init --from cifar10_lt longer --set train.epochs=40 --seeds 0,1,2,3,4
    """
    if source is not None:
        _keep(source, _one_name(words, name), [*settings, *choices(strategies, seeds)])
    else:
        folder, name = _folder_and_name(words, name)
        _read(folder, name, settings, choices(strategies, seeds))


def _one_name(words: Sequence[str], name: str) -> str:
    """The name of `--from BENCH NAME`."""
    from discl.core.errors import UserError

    given = [*words, *([name] if name else [])]
    if len(given) != 1:
        raise UserError(
            "--from takes one name to keep the settings by, e.g. discl init --from cifar10_lt"
            " longer --set train.epochs=40"
        )
    return given[0]


def _folder_and_name(words: Sequence[str], name: str) -> tuple[Path, str]:
    from discl.core.errors import UserError
    from discl.harness.new_benchmark import benchmark_name

    if not words or len(words) > 2 or (name and len(words) == 2):
        raise UserError(
            "init takes a folder with your photos and, if you like, a name, e.g. discl init photos"
            " my_photos; settings are kept by discl init --from BENCH NAME"
        )
    folder = Path(words[0])
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name the one with your photos")
    return folder, (*words, name)[1] or benchmark_name(folder)


def _read(folder: Path, name: str, settings: Sequence[str], others: Sequence[str]) -> None:
    """Write the file of a folder of photos, and say what was understood."""
    from discl.cli.render.tables import tell
    from discl.config.load import load
    from discl.config.toml import parse_settings
    from discl.core.errors import UserError
    from discl.harness.new_benchmark import write_benchmark

    full = [*full_paths("folder", settings), *others]
    load("folder", settings=[setting for setting in full if not setting.startswith("dataset.")])
    tables = parse_settings(full)
    dataset = tables.pop("dataset", {})
    if "root" in dataset:
        raise UserError("the folder is the argument of this command; leave root out of --set")
    path = write_benchmark(folder, name, dataset, others=tables)
    for line in plain_text(path).splitlines():
        if line[:1] == "#":
            tell(line[2:], indent="# " if line[2:] else "#")
    _tell(path, name)


def _keep(source: str, name: str, settings: Sequence[str]) -> None:
    """Write the file that keeps settings of a benchmark."""
    from discl.harness.kept_settings import keep_settings

    _tell(keep_settings(source, name, settings), name)


def _tell(path: Path, name: str) -> None:
    from discl.core.text import printable
    from discl.harness.new_benchmark import next_commands

    echo(f"\n{printable(str(path))} is written; next:")
    for command in next_commands(name):
        echo(f"  {command}")
