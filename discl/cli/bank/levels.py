"""`discl bank levels`: what the levels of a benchmark mean for its checkpoint."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import click

from discl.cli.options.completion import benchmarks
from discl.cli.options.output import format_option
from discl.cli.options.selection import scale_option, set_option
from discl.core.text import echo_json

if TYPE_CHECKING:
    from discl.harness.bank.level_table import LevelRow, LevelTable


@click.command("levels")
@click.argument("bench", metavar="BENCH", shell_complete=benchmarks)
@scale_option
@set_option
@click.option(
    "--size",
    metavar="WxH",
    help="Of images, in pixels, e.g. 1024x768; it matters where flow matching shifts its noise with"
    " the size. Default: the benchmark's.",
)
@format_option()
def bank_levels(
    bench: str, scale: str, settings: tuple[str, ...], size: str | None, form: str
) -> None:
    """Tell what the levels of BENCH mean for its checkpoint.

    A level of 30 leaves out 30 % of the denoising steps. How much of the photo that keeps depends
    on the checkpoint: on its noise schedule, on the scheduler and its spacing (with Karras' sigmas
    level 70 is an edit of a few percent of the noise), and with flow matching on its shift, which
    may follow the size of images. For each level: how many steps are taken, from which place of the
    grid on, the timestep and sigma there, and the share of the photo's signal that is left.

    Where levels shall mean the same in two models, ask for them by that share: levels_as = "signal"
    takes for each level the step that leaves about so many percent. Only configuration files are
    read, no weights.

    \b
    discl bank levels imagenet_lt --scale paper
    discl bank levels cifar10_lt --set levels_as=signal --set generator.steps=25
    discl bank levels folder --set generator.checkpoint=/models/flux --size 768x512
    """
    from discl.config.load import load
    from discl.harness.bank.level_table import level_table, level_table_json

    table = level_table(load(bench, scale, settings), _pair(size))
    if form == "json":
        echo_json(level_table_json(table))
    else:
        _print(table)


def _pair(size: str | None) -> tuple[int, int] | None:
    """'1024x768' as (1024, 768)."""
    from discl.core.errors import UserError

    if size is None:
        return None
    match = re.fullmatch(r"(\d{1,5})[x,](\d{1,5})", size.strip().lower())
    if match is None or "0" in match.groups():
        raise UserError(f"--size {size!r}: give width and height in pixels, e.g. 1024x768")
    return int(match[1]), int(match[2])


def _print(table: LevelTable) -> None:
    from discl.cli.render.tables import show, tell
    from discl.harness.bank.level_table import remarks

    counted = "by surviving signal" if table.levels_as == "signal" else "by steps"
    show(
        f"Levels of {table.benchmark} ({counted}): {table.steps} steps of {table.scheduler},"
        f" {table.checkpoint}",
        ["level", "steps", "start", "timestep", "sigma", "signal"],
        [_cells(row) for row in table.levels],
        left=0,
        worth=["level", "signal", "steps", "sigma", "timestep"],
        elsewhere="--format json",
    )
    for sentence in remarks(table):
        tell(sentence)


def _cells(row: LevelRow) -> list[Any]:
    return [
        f"{row.level} %",
        str(row.steps),
        "-" if row.start is None else str(row.start),
        "-" if row.timestep is None else f"{row.timestep:.4g}",
        "-" if row.sigma is None else "inf" if math.isinf(row.sigma) else f"{row.sigma:.3f}",
        f"{100 * row.signal:.1f} %",
    ]
