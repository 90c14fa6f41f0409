"""Text and tables on the terminal, for words that may look like anything."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from discl.harness.inspect.index import legible

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 40  # characters of a word in a table
BARS = "▁▂▃▄▅▆▇█"
SPARKS = 60  # characters of a curve


def spark(values: Sequence[float], least: float | None = None, most: float | None = None) -> str:
    """A curve as one line of bars; what is no finite number is a blank."""
    if len(values) > SPARKS:
        values = [values[place * len(values) // SPARKS] for place in range(SPARKS)]
    finite = [value for value in values if math.isfinite(value)]
    low = min(finite, default=0.0) if least is None else least
    high = max(finite, default=0.0) if most is None else most
    span = (high - low) or 1.0
    return "".join(
        BARS[min(7, int(8 * (value - low) / span))] if math.isfinite(value) else " "
        for value in values
    )


def finite(value: Any) -> Any:
    """`value` as JSON can say it: no NaN, and keys that are words."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(each) for key, each in value.items()}
    return [finite(each) for each in value] if isinstance(value, list | tuple) else value


def percent(value: float) -> str:
    return f"{100 * value:.1f}" if math.isfinite(value) else str(value)


def points(difference: float, error: float | None) -> str:
    if not math.isfinite(difference):
        return str(difference)
    return f"{100 * difference:+.1f}" + ("" if error is None else f" ± {100 * error:.1f}")


def console() -> Console:
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 200)


def show_table(
    title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1
) -> None:
    """A table whose first `left` columns are words; words fold, numbers do not."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="dim", pad_edge=False)
    for place, name in enumerate(header):
        table.add_column(
            Text("\n".join(map(legible, name.split("\n")))),
            justify="left" if place < left else "right",
            overflow="fold",
            no_wrap=place >= left,
        )
    for row in rows:
        table.add_row(*(Text(legible(cell)) for cell in row))  # Text: a name may look like markup
    click.echo(f"\n{title}")
    console().print(table)


def show_list(title: str, header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> None:
    """As `show_table`, for thousands of rows and cells that fit: rich takes milliseconds a row."""
    from rich.cells import cell_len

    titles = [name.split("\n") for name in header]
    high = max(map(len, titles))
    above = [
        [parts[line - high + len(parts)] if line >= high - len(parts) else "" for parts in titles]
        for line in range(high)
    ]
    cells = [*above, *([legible(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(row[place]) for row in cells) for place in range(len(header))]
    click.echo(f"\n{title}")
    for number, row in enumerate(cells):
        blanks = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        words = [
            cell + blank if place < left else blank + cell
            for place, (cell, blank) in enumerate(zip(row, blanks, strict=True))
        ]
        text = "  ".join(words).rstrip()
        click.echo(click.style(text, dim=True) if number < high else text)


def show_lines(title: str, lines: Sequence[tuple[str, str]]) -> None:
    """Words beside what is said of them, what is long folded under itself."""
    from rich.table import Table
    from rich.text import Text

    if not lines:
        return
    if title:
        click.echo(f"\n{title}")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for word, text in lines:
        table.add_row(Text(legible(word, WIDE)), Text(legible(text)))
    console().print(table)
