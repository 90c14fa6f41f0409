"""Tables of sweeps on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discl.harness.sweep.grid_table import Grid


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A table whose first `left` columns are words."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), box=None, header_style="bold")
    for place, name in enumerate(header):
        table.add_column(
            escape(name),
            justify="left" if place < left else "right",
            overflow="fold",
            no_wrap=place >= left,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    Console(width=None if sys.stdout.isatty() else 400).print(table)


def show_grid(title: str, made: Grid) -> None:
    from discl.harness.leaderboard.table import percent

    header = [
        *(axis.rpartition(".")[2] if len(axis) > 24 else axis for axis in made.axes),
        "n",
        *made.columns.values(),
        "min",
    ]
    rows = [
        [*(said(row.at[axis]) for axis in made.axes), _runs(len(row.results), row.wanted)]
        + [percent(row.metrics[metric]) for metric in made.columns]
        + [f"{row.minutes:.1f}" if row.results else "-"]
        for row in made.rows
    ]
    show(title, header, rows, left=len(made.axes))


def _runs(there: int, wanted: int) -> str:
    return str(there) if there == wanted else f"{there} of {wanted}"


def said(value: Any) -> str:
    """A setting in few characters."""
    if isinstance(value, float):
        few = f"{value:.3g}"
        return (
            few if "." in few or "e" in few else f"{few}.0"
        )  # 1.0 is a share where 1 is a number of epochs
    if isinstance(value, dict):
        return " ".join(f"{key}={said(one)}" for key, one in value.items())
    return " ".join(map(said, value)) if isinstance(value, list) else str(value)
