"""Tables and lines on the terminal; names may hold any characters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from discl.core.text import console, echo, printable

WIDTH = 200  # columns, where the output is no terminal
MAX_WORD = 40  # characters of a word in a table
BARS = "▁▂▃▄▅▆▇█"
MAX_BARS = 60  # characters of a curve


def spark(values: Sequence[float], low: float | None = None, high: float | None = None) -> str:
    """A curve as one line of bars; NaN and infinity are blanks.

    `low` and `high` are the values of the smallest and largest bar, by default those of the curve.
    """
    if len(values) > MAX_BARS:
        values = [values[bar * len(values) // MAX_BARS] for bar in range(MAX_BARS)]
    finite_values = [value for value in values if math.isfinite(value)]
    low = min(finite_values, default=0.0) if low is None else low
    high = max(finite_values, default=0.0) if high is None else high
    # halves: the span of the largest numbers is infinite
    half_span = (high / 2 - low / 2) or 1.0
    return "".join(
        BARS[min(7, int(8 * ((value / 2 - low / 2) / half_span)))] if math.isfinite(value) else " "
        for value in values
    )


def finite(value: Any) -> Any:
    """`value` as JSON can express it: null for NaN and infinity, and keys that are strings."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def percent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else str(value)


def points(difference: float, error: float | None) -> str:
    """A difference in percentage points, with its standard error where it is known."""
    if not math.isfinite(difference):
        return str(difference)
    return f"{100 * difference:+.1f}" + ("" if error is None else f" ± {100 * error:.1f}")


def show_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1
) -> None:
    """Print a table whose first `left` columns are words; words fold, numbers do not."""
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for column, name in enumerate(header):
        table.add_column(
            "\n".join(printable(part) for part in name.split("\n")),
            justify="left" if column < left else "right",
            overflow="fold",
            no_wrap=column >= left,
        )
    for row in rows:
        table.add_row(*map(printable, row))
    echo(f"\n{title}")
    console(WIDTH).print(table)


def show_list(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    """Print a table of thousands of rows whose cells fit: rich takes milliseconds for each row."""
    from rich.cells import cell_len

    titles = [name.split("\n") for name in header]
    height = max(len(parts) for parts in titles)
    title_lines = [([""] * height + parts)[-height:] for parts in titles]
    cells = [list(line) for line in zip(*title_lines, strict=True)]
    cells += [[printable(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[column]) for row in cells) for column in range(len(header))]
    echo(f"\n{title}")
    for number, row in enumerate(cells):
        padded = []
        for column, cell in enumerate(row):
            blanks = " " * (widths[column] - cell_len(cell))
            padded.append(cell + blanks if column < left else blanks + cell)
        text = "  ".join(padded).rstrip()
        echo(text, dim=number < height)


def show_lines(title: str, lines: Sequence[tuple[str, str]]) -> None:
    """Print words with the text beside them; long text folds in its own column."""
    from rich.table import Table

    if not lines:
        return
    if title:
        echo(f"\n{title}")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for word, text in lines:
        table.add_row(printable(word, MAX_WORD), printable(text))
    console(WIDTH).print(table)
