"""Tables of sweeps on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from discl.harness.sweep.grid_table import GridTable


def show(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """A table whose first `left` columns are words."""
    from rich.table import Table

    from discl.core.text import console

    table = Table(title=title, box=None, header_style="bold")
    for column, name in enumerate(header):
        table.add_column(
            name,
            justify="left" if column < left else "right",
            overflow="fold",
            no_wrap=column >= left,
        )
    for row in rows:
        table.add_row(*row)
    console(400).print(table)


def show_grid(title: str, table: GridTable) -> None:
    """The points of a grid, best first."""
    from discl.harness.leaderboard.wording import percent

    header = [
        *(axis.rpartition(".")[2] if len(axis) > 24 else axis for axis in table.axes),
        "n",
        *table.columns.values(),
        "min",
    ]
    rows = [
        [*(short_setting(row.at[axis]) for axis in table.axes), _runs(len(row.results), row.runs)]
        + [percent(row.metrics[metric]) for metric in table.columns]
        + [f"{row.minutes:.1f}" if row.results else "-"]
        for row in table.rows
    ]
    show(title, header, rows, left=len(table.axes))


def _runs(done: int, asked_for: int) -> str:
    return str(done) if done == asked_for else f"{done} of {asked_for}"


def short_setting(value: Any) -> str:
    """The value of a setting in few characters."""
    if isinstance(value, float):
        digits = f"{value:.3g}"
        # 1.0 is a share where 1 is a number of epochs
        return digits if "." in digits or "e" in digits else f"{digits}.0"
    if isinstance(value, dict):
        return " ".join(f"{key}={short_setting(item)}" for key, item in value.items())
    return " ".join(map(short_setting, value)) if isinstance(value, list) else str(value)
