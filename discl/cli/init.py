"""`discl init`: a benchmark file for a folder of photos."""

from __future__ import annotations

from pathlib import Path

import click

from discl.cli.data import parameters_of, set_option
from discl.core.plain_files import plain_text
from discl.core.text import echo


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", default="", help="Name of the benchmark; otherwise that of FOLDER.")
@set_option
def init(folder: Path, name: str, settings: tuple[str, ...]) -> None:
    """Write benchmarks/NAME.toml for the photos in FOLDER.

    It says what was understood, and what may be set. After that every command takes NAME and needs
    no --set. Nothing is copied, and no photo is decoded.

    \b
    discl init photos
    discl init /data/traps --name traps --set ood_groups=0.2
    """
    from discl.core.errors import UserError
    from discl.core.text import printable
    from discl.harness.new_benchmark import benchmark_name, next_commands, write_benchmark

    if not folder.is_dir():
        raise UserError(f"{folder} is no folder; name the one with your photos")
    parameters = parameters_of("folder", settings)
    if "root" in parameters:
        raise UserError("the folder is the argument of this command; leave root out of --set")
    name = name or benchmark_name(folder)
    path = write_benchmark(folder, name, parameters)
    echo("\n".join(line for line in plain_text(path).splitlines() if line[:1] == "#"))
    echo(f"\n{printable(str(path))} is written; next:")
    for command in next_commands(name):
        echo(f"  {command}")
