"""How a table fits a terminal: columns that have no room go whole, and no cell is cut.

Widths are columns of the terminal, of which a letter takes none, one or two.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from discl.core.text import LEFT_TO_RIGHT
from discl.core.text.wrapping import WORDS, are_of_one, width_of, wrapped

GAP = 2  # blanks between columns
LEAST_WORDS = 20  # a column of words keeps before another column goes
LEAST_TITLE = 12  # a longer word of a title may break; one as short stands on a line if it can
STACKED_BELOW = 40  # columns of a terminal; there a row is a paragraph where the table is wider
INDENT = "  "

_RIGHT_TO_LEFT = re.compile(r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff]")


class Styled(NamedTuple):
    """Text with a style, a name in `discl.core.text.STYLES`; "" is plain."""

    text: str
    style: str = ""


Line = list[Styled]
# after a cell that is written from the right: else a terminal may show those after it before it
_MARK = Styled(LEFT_TO_RIGHT)


class TableColumn(NamedTuple):
    """A column of a table. Columns of words stand left and may wrap; numbers do neither."""

    title: str
    worth: int  # 0 stays; of the others the largest goes first
    words: bool


class FittedColumns(NamedTuple):
    """Columns that fit, by their places in the table, and the width of each.

    Without columns a row is a paragraph.
    """

    columns: list[int]
    widths: list[int]
    left_out: list[int]


def fit(
    columns: Sequence[TableColumn], rows: Sequence[Sequence[Styled]], width: int | None
) -> FittedColumns:
    """The layout of a table on a terminal of `width` columns; None is any width."""
    cells = [_widest([row[at].text for row in rows]) for at in range(len(columns))]
    shown = list(range(len(columns)))
    if width is None:
        titles = [max(cells[at], width_of(columns[at].title)) for at in shown]
        return FittedColumns(shown, titles, [])
    by_worth = sorted(shown, key=lambda at: (columns[at].worth, at))
    while True:
        for breaks_titles in (False, True):
            if widths := _widths([columns[at] for at in shown], cells, shown, width, breaks_titles):
                return FittedColumns(shown, widths, sorted(set(range(len(columns))) - set(shown)))
        last = by_worth.pop()
        if width < STACKED_BELOW or not columns[last].worth or len(by_worth) < 2:
            return FittedColumns([], [], [])
        shown.remove(last)


def _widest(texts: Sequence[str]) -> int:
    of_one = are_of_one("".join(texts))
    return max(map(len if of_one else width_of, texts), default=0)


def _widths(
    columns: Sequence[TableColumn],
    cells: Sequence[int],
    shown: Sequence[int],
    width: int,
    breaks_titles: bool,
) -> list[int]:
    """Widths that fit; none where they do not."""
    least_words = min(LEAST_WORDS, width // 2) if width >= STACKED_BELOW else width
    least, natural = [], []
    for column, at in zip(columns, shown, strict=True):
        title = max((width_of(word.rstrip()) for word in WORDS.findall(column.title)), default=0)
        if breaks_titles:
            title = min(title, LEAST_TITLE)
        whole = width_of(column.title)
        natural.append(max(title, whole if whole <= LEAST_TITLE else 0, cells[at]))
        least.append(max(title, min(cells[at], least_words) if column.words else cells[at]))
    room = width - GAP * (len(columns) - 1) - sum(least)
    if room < 0:
        return []
    return _shared(least, natural, room)


def _shared(least: Sequence[int], most: Sequence[int], room: int) -> list[int]:
    """`least` with `room` more dealt out evenly, to none more than its `most`."""
    widths = list(least)
    while room:
        short = [at for at, width in enumerate(widths) if width < most[at]]
        if not short:
            break
        share = max(1, room // len(short))
        for at in short:
            more = min(share, most[at] - widths[at], room)
            widths[at] += more
            room -= more
    return widths


def laid_out(
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[Styled]],
    layout: FittedColumns,
    width: int | None,
) -> Iterable[Line]:
    """The lines of a table, titles first, or of its rows as paragraphs."""
    if not layout.columns and columns:
        for row in rows:
            yield from _paragraph(columns, row, width)
        return
    titles = [Styled(column.title, "bold") for column in columns]
    if any(title.text for title in titles):
        yield from _row(columns, titles, layout, width, bottom=True)
    sizes = zip(layout.columns, layout.widths, strict=True)
    form = (" " * GAP).join(f"{{:{'<' if columns[at].words else '>'}{size}}}" for at, size in sizes)
    length = sum(layout.widths) + GAP * (len(layout.widths) - 1)
    for row in rows:
        text = form.format(*(row[at].text for at in layout.columns))
        # of thousands of rows nearly all are of plain cells with room for each
        if len(text) == length and are_of_one(text) and not _is_styled(row):
            yield [Styled(text.rstrip())]
        else:
            yield from _row(columns, row, layout, width)


def _is_styled(row: Sequence[Styled]) -> bool:
    return any(style for _, style in row)


def _row(
    columns: Sequence[TableColumn],
    row: Sequence[Styled],
    layout: FittedColumns,
    width: int | None,
    bottom: bool = False,
) -> Iterable[Line]:
    """The lines of a row; with `bottom` its cells stand on the last one."""
    parts = [
        wrapped(row[at].text, None if width is None else size)
        for at, size in zip(layout.columns, layout.widths, strict=True)
    ]
    height = max(map(len, parts), default=0)
    for at in range(height):
        cells = []
        for place, lines, size in zip(layout.columns, parts, layout.widths, strict=True):
            first = height - len(lines) if bottom else 0
            text = lines[at - first] if 0 <= at - first < len(lines) else ""
            cells.append(_padded(row[place], text, size, columns[place].words, width))
        yield _joined(cells)


def _padded(cell: Styled, text: str, size: int, words: bool, width: int | None) -> Line:
    blanks = " " * (size - width_of(text))
    padded = [Styled(text + blanks if words else blanks + text, cell.style)]
    if width is not None and _RIGHT_TO_LEFT.search(text):
        padded.append(_MARK)
    return padded


def _joined(cells: Sequence[Line]) -> Line:
    """Cells with gaps between them, and no blanks at the end."""
    line = [part for cell in cells for part in (*cell, Styled(" " * GAP))][:-1]
    while line and not line[-1].text.strip():
        line.pop()
    return [*line[:-1], Styled(line[-1].text.rstrip(), line[-1].style)] if line else []


def _paragraph(
    columns: Sequence[TableColumn], row: Sequence[Styled], width: int | None
) -> Iterable[Line]:
    """A row on a narrow terminal: its first cell, and below a line for each other cell."""
    head, *cells = row
    for text in wrapped(head.text, width) if head.text else ():
        yield [head._replace(text=text)]
    for column, cell in zip(columns[1:], cells, strict=True):
        if cell.text:
            titled = f"{column.title}: {cell.text}" if column.title else cell.text
            inner = None if width is None else max(1, width - len(INDENT))
            for text in wrapped(titled, inner):
                yield [cell._replace(text=INDENT + text)]
