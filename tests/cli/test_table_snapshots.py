"""The table of every command on terminals of 60 to 200 columns, of 20, and in a pipe.

A change of a table is a reviewed diff: `python -m tests.table_samples` writes the files anew.
"""

import re

import pytest

from discl.core.text.wrapping import width_of
from tests.table_samples import GOLDEN, NARROW, SAMPLES, WIDTHS, at_each_width, snapshot

# what is to be copied is never wrapped
COMMAND = re.compile(r"\s*discl ")


def _widest(lines: list[str]) -> int:
    return max(width_of(line) for line in lines if not COMMAND.match(line))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_table_is_at_every_width_as_it_was(name: str) -> None:
    shown = snapshot(name)
    assert shown == (GOLDEN / f"{name}.txt").read_text("utf-8")
    by_width = dict(at_each_width(shown))
    assert [*by_width] == [*WIDTHS, NARROW, None]
    for width, lines in by_width.items():
        assert "…" not in "".join(lines)
        assert width is None or _widest(lines) <= width
    assert "not shown" not in "".join(by_width[None])


def test_every_snapshot_is_of_a_table_that_there_is() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {*SAMPLES}


def test_a_board_at_80_columns_shows_the_answer() -> None:
    lines = dict(at_each_width((GOLDEN / "board.txt").read_text("utf-8")))[80]
    titles, static = (
        next(line for line in lines if line.startswith(f" {word}"))
        for word in ("strategy", "static")
    )
    assert titles.split()[:4] == ["strategy", "place", "seeds", "all"]
    assert "few" in titles
    assert static.split()[:6] == ["static", "1-2", "3", "41.0", "±", "2.5"]
    begin = next(at for at, line in enumerate(lines) if line.startswith("differences"))
    (compared,) = (line for line in lines[begin:] if line.startswith(" static"))
    assert "+4.0 ± 4.6" in compared
    assert "+11.0 ± 5.5*" in compared
