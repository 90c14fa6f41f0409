"""A leaderboard on the terminal."""

from __future__ import annotations

import sys
from typing import Any

import click


def print_board(made: Any) -> None:
    from rich.console import Console
    from rich.table import Table

    from discl.harness.board import header, lines

    table = Table(title=f"{made.title}, scale {made.scale} (percent, mean ± 95 % interval over seeds)", box=None, header_style="bold")
    for i, title in enumerate(header(made)):
        table.add_column(title.replace(" to ", " to\n"), justify="left" if i == 0 else "right", no_wrap=True)
    for cells in lines(made):
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 400).print(table)
    click.echo(made.caption)
    if len(made.declared_seeds) == 1:
        click.echo("one seed: no interval can be given; add --seeds 0,1,2 before you believe a difference")
