"""What every table keeps to, whatever stands in it and however wide the terminal is."""

from __future__ import annotations

import io
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discl.cli.render.layout import Styled
from discl.cli.render.tables import show, show_pairs, tell
from discl.core.text import LEFT_TO_RIGHT, terminal_width
from discl.core.text.wrapping import width_of, wrapped
from tests.properties import examples
from tests.table_samples import on_a_terminal

HEADER = ["strategy", "seeds", "all", "few", "worst group"]
ROWS = [["static", "16", "34.2 ± 0.4", "12.6 ± 0.4", "3.2 ± 0.7"]]
LONG = "a_name_of_300_characters_" * 12


def _lines(
    width: int | None, rows: list[list[str]] = ROWS, header: list[str] = HEADER
) -> list[str]:
    shown = on_a_terminal(width, lambda: show("title", header, rows, worth=["all", "few"]))
    return shown.removesuffix("\n").split("\n")


def test_columns_that_have_no_room_go_whole_the_least_worth_first() -> None:
    assert _lines(60)[1] == " strategy  seeds         all         few  worst group"
    assert _lines(45)[1:] == [
        " strategy  seeds         all         few",
        " static       16  34.2 ± 0.4  12.6 ± 0.4",
        "not shown at this width: `worst group`; see a",
        "wider terminal or `| cat`",
    ]


@pytest.mark.parametrize("width", [20, 45, 60, None])
def test_a_blank_stands_before_each_line_of_a_table_and_none_before_title_and_note(
    width: int | None,
) -> None:
    title, *table = _lines(width, [["", "16", "1", "2", "3"], *ROWS])
    assert title == "title"
    note = next((at for at, line in enumerate(table) if line.startswith("not shown")), len(table))
    assert all(line.startswith(" ") and not line.endswith(" ") for line in table[:note])
    assert not any(line.startswith(" ") for line in table[note:])


def test_a_narrow_terminal_gets_a_paragraph_a_row_with_everything() -> None:
    assert _lines(20)[1:] == [
        " static",
        "   seeds: 16",
        "   all: 34.2 ± 0.4",
        "   few: 12.6 ± 0.4",
        "   worst group:",
        "   3.2 ± 0.7",
    ]


def test_a_pipe_gets_one_line_a_row_whatever_its_length() -> None:
    rows = [[LONG, "16", "34.2 ± 0.4", "-", "-"]]
    _, titles, row = _lines(None, rows)
    assert row.startswith(f" {LONG}     16  34.2 ± 0.4")
    assert titles.index("all") == row.index("34.2") + len("34.2 ± 0.4") - len("all")


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_name_of_300_characters_wraps_and_is_whole(width: int) -> None:
    lines = _lines(width, [[LONG, "16", "34.2 ± 0.4", "-", "-"]])
    assert max(map(len, lines)) <= width
    first = next(at for at, line in enumerate(lines) if line.startswith(" a_name"))
    name = "".join(line.split("  ")[0].strip() for line in lines[first:])
    assert name.startswith(LONG)
    assert any("34.2 ± 0.4" in line for line in lines)


def test_a_title_of_300_characters_leaves_room_for_the_cells() -> None:
    header = ["strategy", "seeds", f"all to {LONG}", "few", "worst group"]
    for width in (60, 80):
        lines = _lines(width, header=header)
        assert max(map(len, lines)) <= width
        assert any(line.startswith(" static ") for line in lines)


def test_numbers_keep_their_order_after_a_name_that_is_written_from_the_right() -> None:
    arabic = "سيارة إسعاف"
    shown = on_a_terminal(60, lambda: show("", ["class", "photos"], [[arabic, "12"], ["cat", "3"]]))
    lines = shown.splitlines()
    assert lines[1].index(LEFT_TO_RIGHT) > lines[1].index(arabic)
    assert lines[1].endswith(f"{LEFT_TO_RIGHT}      12")
    assert width_of(lines[1].replace(LEFT_TO_RIGHT, "")) == width_of(lines[2])
    assert LEFT_TO_RIGHT not in on_a_terminal(None, lambda: show("", ["class"], [[arabic]]))


def test_letters_of_two_columns_are_counted_as_two() -> None:
    rows = [["救护车", "1", "34.2", "-", "-"], ["e\u0301te\u0301", "1", "34.2", "-", "-"]]
    lines = _lines(60, rows)[1:]
    ends = {width_of(line[: line.index("34.2")]) for line in lines[1:]}
    assert len(ends) == 1


def test_escapes_in_a_name_are_shown_as_text() -> None:
    hostile = "\x1b[31m\x1b]0;mine\x07\u202e\u200eevil\n\ttabs"

    def everywhere() -> None:
        show(hostile, [hostile, "all"], [[hostile, "1"]], elsewhere="--format csv")
        show_pairs(hostile, [(hostile, hostile)])
        tell(hostile)

    for width in (20, 60, None):
        shown = on_a_terminal(width, everywhere)
        assert not {*shown} & {"\x1b", "\x07", "\u202e", "\u200e", "\t"}
        assert "evil" in shown


def test_no_row_is_one_line_and_two_hundred_are_all_shown() -> None:
    assert _lines(60, []) == ["title: none"]
    assert on_a_terminal(60, lambda: show_pairs("title", [])) == ""
    groups = [[f"camera {number}", "1", "2", "3", "4"] for number in range(200)]
    assert len(_lines(60, groups)) == 202


cells = st.text(st.characters(codec="utf-8"), max_size=40)


@examples(60)
@given(
    st.lists(st.lists(cells, min_size=5, max_size=5), min_size=1, max_size=3),
    st.integers(20, 90),
)
def test_no_line_is_longer_than_the_terminal(rows: list[list[str]], width: int) -> None:
    for line in _lines(width, rows):
        assert width_of(line.replace(LEFT_TO_RIGHT, "")) <= width


@examples(60)
@given(cells, st.integers(2, 30))
def test_what_is_wrapped_loses_blanks_alone(text: str, width: int) -> None:
    assert "".join("".join(wrapped(text, width)).split()) == "".join(text.split())


# ---------------------------------------------------------------- styles and widths


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _styled(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name in ("NO_COLOR", "TERM", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdout", _Terminal())
    show("", ["state"], [[Styled("problem", "bad")], [Styled("note", "note")], ["ok"]])
    assert isinstance(sys.stdout, _Terminal)
    return sys.stdout.getvalue()


def test_colours_are_red_and_magenta_and_go_with_no_color_or_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # of the eight colours these two are read on black and on white
    coloured = _styled(monkeypatch, TERM="xterm")
    assert "\x1b[31m\x1b[1mproblem\x1b[0m" in coloured
    assert "\x1b[35m\x1b[1mnote\x1b[0m" in coloured
    plain = _styled(monkeypatch, TERM="xterm", NO_COLOR="1")
    assert "\x1b[1mproblem\x1b[0m" in plain
    assert "\x1b[3" not in plain
    for environment in ({}, {"TERM": "dumb"}):
        assert _styled(monkeypatch, **environment) == " state\n problem\n note\n ok\n"


def test_the_width_is_that_of_the_terminal_and_a_pipe_has_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "66")
    assert terminal_width() is None
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert terminal_width() == 66
    for unknown in ("", "wide", "0"):
        monkeypatch.setenv("COLUMNS", unknown)
        assert terminal_width() == 80  # this one has no file to ask
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert terminal_width() == 80  # a terminal that says 0
    os.close(ours)
