"""The tables of the command line, all by `show` and `show_pairs`; sentences below them by `tell`.

On a terminal they fit its width from 60 columns on, and can be read down to 20. What is no terminal
gets all columns, one line a row, and no style.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from discl.cli.render.layout import (
    INDENT,
    LEAST_WORDS,
    Line,
    Styled,
    TableColumn,
    fit,
    laid_out,
)
from discl.core.text import echo_styled, printable, terminal_width
from discl.core.text.wrapping import wrapped

if TYPE_CHECKING:
    from discl.harness.sweep.grid_table import GridTable

LONGEST_AXIS = 24  # letters of a setting's path; of a longer one the last word is shown
LONGEST_LINE = 100  # columns of a sentence, however wide the terminal
NOTHING = "none"
MARGIN = Styled(" ")  # before each line of a table, whose title and notes stand without

Cell = str | Styled


def show(
    title: str,
    header: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    left: int = 1,
    *,
    worth: Sequence[str] = (),
    elsewhere: str = "",
    style: str = "",
) -> None:
    """A table whose first `left` columns are words.

    Columns that have no room are left out whole and named: first those that `worth` does not name,
    the last one first, then those of `worth`, the last one first. The first column stays.
    `elsewhere` is an option that gives all of them, such as "--format csv". A title of "" is not
    printed; `style` is that of cells without one.
    """
    width = terminal_width()
    cells = [[_cell(cell, style) for cell in row] for row in rows]
    if not cells:
        echo_styled(_sentence(f"{title}: {NOTHING}" if title else NOTHING, width))
        return
    ranks = _ranks(header, worth)
    columns = [
        TableColumn(printable(name), rank, at < left)
        for at, (name, rank) in enumerate(zip(header, ranks, strict=True))
    ]
    room = None if width is None else max(1, width - len(MARGIN.text))
    layout = fit(columns, cells, room)
    lines = list(_sentence(title, width)) if title else []
    lines += [[MARGIN, *line] if line else line for line in laid_out(columns, cells, layout, room)]
    if layout.left_out:
        names = ", ".join(f"`{columns[at].title}`" for at in layout.left_out)
        where = f"{elsewhere}, " if elsewhere else ""
        note = f"not shown at this width: {names}; see {where}a wider terminal or `| cat`"
        lines += _sentence(note, width, "dim")
    echo_styled(lines)


def _ranks(header: Sequence[str], worth: Sequence[str]) -> list[int]:
    """For each column how many are worth more; the first column is worth most."""
    order = {name: rank for rank, name in enumerate(dict.fromkeys(worth), 1)}
    return [
        0 if at == 0 else order.get(name, len(worth) + 1 + at) for at, name in enumerate(header)
    ]


def _cell(cell: Cell, style: str) -> Styled:
    text, own = cell if isinstance(cell, Styled) else (cell, "")
    return Styled(printable(text), own or style)


def _sentence(text: str, width: int | None, style: str = "") -> Iterable[Line]:
    most = None if width is None else min(width, LONGEST_LINE)
    for line in text.split("\n"):
        for part in wrapped(printable(line), most):
            yield [Styled(part, style)]


def tell(sentence: str, style: str = "", indent: str = "") -> None:
    """A sentence below or above a table; on a terminal it wraps at words."""
    width = terminal_width()
    lines = _sentence(sentence, None if width is None else max(1, width - len(indent)), style)
    echo_styled([Styled(indent), *line] for line in lines)


def tell_figure(what: str, amount: str, explanation: str) -> None:
    """A line of a list of figures: what it is of, how much, and a sentence, which may wrap."""
    width = terminal_width()
    head = f"  {what:<18} {amount:>12}   "
    beside = None if width is None else width - len(head)
    if beside is not None and beside < LEAST_WORDS:
        tell(f"{what}: {amount}")
        tell(explanation, indent=INDENT)
        return
    first, *others = wrapped(printable(explanation), beside)
    blanks = " " * len(head)
    echo_styled([[Styled(head + first)], *([Styled(blanks + line)] for line in others)])


def show_pairs(title: str, pairs: Iterable[tuple[Cell, Cell]]) -> None:
    """Words with the text beside them, which wraps in its own column; nothing without any."""
    if listed := list(pairs):
        show(title, ["", ""], listed, left=2)


def show_grid(title: str, table: GridTable) -> None:
    """The points of a grid, best first."""
    from discl.harness.leaderboard.wording import percent

    axes = [axis.rpartition(".")[2] if len(axis) > LONGEST_AXIS else axis for axis in table.axes]
    metrics = [*table.columns.values()]
    rows = [
        [*(short_setting(row.at[axis]) for axis in table.axes), _runs(len(row.results), row.runs)]
        + [percent(row.metrics[metric]) for metric in table.columns]
        + [f"{row.minutes:.1f}" if row.results else "-"]
        for row in table.rows
    ]
    show(
        title,
        [*axes, "n", *metrics, "min"],
        rows,
        left=len(axes),
        worth=[*metrics[:1], *axes, "n", *metrics[1:]],
        elsewhere="--format json",
    )


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
