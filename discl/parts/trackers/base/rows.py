"""Rows of progress that fit any terminal: what does not fit is left out whole, never cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from discl.core.progress import DENOISING, TRAINING, TimeLeft

if TYPE_CHECKING:
    from rich.table import Table

GAP = 2  # columns of a terminal between two of ours
LEAST_NAME = 8  # columns of a name, which goes on in the next line
USUAL_NAME = 18
LEAST_BAR = 8
MOST_BAR = 30
# what is left out first stands last; the name, the count and the time left stay
WORK = {DENOISING: "images", TRAINING: "training"}  # as the time left names it
_WORTH = ("bar", "elapsed", "note")


@dataclass(frozen=True)
class ProgressRow:
    """One line: what is done, and how far it is."""

    name: str
    count: str
    left: str
    elapsed: str = ""
    note: str = ""
    share: float | None = None  # 0 .. 1, drawn as a bar; None = no bar


def spell(seconds: float) -> str:
    """A time as people read it: 1:05, 2:03:10, 4 days 3 h."""
    whole = int(seconds)
    if whole >= 86_400:
        return f"{whole // 86_400} days {whole // 3600 % 24} h"
    if whole >= 3600:
        return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
    return f"{whole // 60}:{whole % 60:02}"


def spell_spent(seconds: float) -> str:
    """A time that is over, told from the time left."""
    return f"{spell(seconds)} spent"


def spell_left(left: TimeLeft | None) -> str:
    """The time left in words, and what comes on top of it; "" where nothing is known of it.

    The pace of training is known from the first run on, that of images from the first one.
    """
    if left is None:
        return ""
    if left.is_all:
        return f"{spell(left.seconds)} left"
    others = " and ".join(WORK.get(kind, "more") for kind in left.unknown) or "more"
    if left.seconds < 1:
        return f"{others} left"
    return f"{spell(left.seconds)} + {others}"


def fitted(rows: Iterable[ProgressRow], width: int) -> Table:
    """The rows as a table of `width` columns at most.

    A name that is longer than a line goes on in the next one.
    """
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    widths = _widths(rows, width)
    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    table.add_column(overflow="fold", max_width=widths["name"])
    for _ in list(widths)[1:]:
        table.add_column(no_wrap=True)
    for row in rows:
        cells: list[ProgressBar | Text] = []
        for column, columns in widths.items():
            if column != "bar":
                style = "dim" if column in _WORTH else ""
                cells.append(Text(getattr(row, column), style))
            elif row.share is None:
                cells.append(Text())
            else:
                cells.append(ProgressBar(total=1.0, completed=row.share, width=columns))
        table.add_row(*cells)
    return table


def _widths(rows: list[ProgressRow], width: int) -> dict[str, int]:
    """The columns that fit, in the order in which they stand, and how wide each is."""
    from rich.cells import cell_len

    needed = {
        column: max((cell_len(getattr(row, column)) for row in rows), default=0)
        for column in ("name", "count", "left", "elapsed", "note")
    }
    if any(row.share is not None for row in rows):
        needed["bar"] = LEAST_BAR
    needed["name"] = min(needed["name"], width - GAP)
    kept = {"name"} | {column for column in ("count", "left") if needed[column]}
    for column in ("left", "count"):  # a terminal of 20 columns: better no figure than half of one
        if width - sum(needed[each] + GAP for each in kept - {"name"}) < LEAST_NAME:
            kept.discard(column)
    room = width - sum(needed[column] + GAP for column in kept)
    lacks = needed.get("bar", -GAP) + GAP - room
    if 0 < lacks <= needed["name"] - USUAL_NAME:  # longer names go on in the next line
        needed["name"] -= lacks
        room += lacks
    for column in _WORTH:
        if needed.get(column) and needed[column] + GAP <= room:
            kept.add(column)
            room -= needed[column] + GAP
    if "bar" in kept:
        needed["bar"] += min(room, MOST_BAR - LEAST_BAR)
    order = ("name", "bar", "count", "elapsed", "left", "note")
    return {column: needed[column] for column in order if column in kept}
