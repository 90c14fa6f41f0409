"""Tables of sweeps on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discl.harness.sweep.grid_table import GridTable


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A table whose first `left` columns are words."""
    from rich.markup import escape
    from rich.table import Table

    from discl.cli.render.text import console

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
    console(400).print(table)


def show_grid(title: str, table: GridTable) -> None:
    """The points of a grid, best first."""
    from discl.harness.leaderboard.table import percent

    header = [
        *(axis.rpartition(".")[2] if len(axis) > 24 else axis for axis in table.axes),
        "n",
        *table.columns.values(),
        "min",
    ]
    rows = [
        [*(said(row.at[axis]) for axis in table.axes), _runs(len(row.results), row.runs)]
        + [percent(row.metrics[metric]) for metric in table.columns]
        + [f"{row.minutes:.1f}" if row.results else "-"]
        for row in table.rows
    ]
    show(title, header, rows, left=len(table.axes))


def _runs(done: int, asked_for: int) -> str:
    return str(done) if done == asked_for else f"{done} of {asked_for}"


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
