"""What the terminal shows of work under way: whole at any width, and with the time left."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console as Terminal

from discl.core.progress import DENOISING, TRAINING, TimeLeft, WorkClock
from discl.core.text import echo, terminal_width
from discl.parts.trackers.base.display import Display, close_display, display
from discl.parts.trackers.base.rows import ProgressRow, fitted, spell, spell_left, spell_spent
from discl.parts.trackers.console import Console
from discl.testing import TrackerContract
from tests.terminal import screen_of, shown

CONTRACT = TrackerContract()
WIDTHS = [20, 40, 60, 80, 100, 120, 160, 200]
ROWS = [
    ProgressRow("cifar10_lt, smoke", "2/9 runs", "1:40 + training", "0:58 spent", share=0.25),
    ProgressRow(
        "  real_rebalanced, seed 12", "7/18 epochs", "", note="level 30%, best val/acc 41.2%"
    ),
]


def _drawn(width: int, rows: list[ProgressRow] = ROWS) -> list[str]:
    terminal = Terminal(file=io.StringIO(), width=width, force_terminal=False)
    terminal.print(fitted(rows, width))
    return [line.rstrip() for line in terminal.file.getvalue().splitlines()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_row_is_cut_at_any_width(width: int) -> None:
    lines = _drawn(width)
    text = " ".join(" ".join(lines).split())
    assert all(cell_len(line) <= width for line in lines)
    assert "…" not in text
    assert "smoke" in text
    assert "seed 12" in text
    for whole in ("2/9 runs", "1:40 + training", "0:58", "level 30%, best val/acc 41.2%"):
        assert whole in text or whole.split()[-1] not in text.split()
    if "0:58 spent" in text:
        assert text.index("0:58 spent") < text.index("1:40 + training")  # one order, both labelled
    if width >= 60:
        assert "━" in text
        assert "2/9 runs" in text
        assert "1:40 + training" in text


def test_wide_characters_count_as_wide() -> None:
    rows = [ProgressRow("写真を読む" * 3, "1/2", "0:10 left", share=0.5)]
    assert all(cell_len(line) <= 60 for line in _drawn(60, rows))


def test_times_are_spelt_as_people_read_them() -> None:
    assert [spell(seconds) for seconds in (0, 65, 3600 * 2 + 190, 86_400 * 4 + 3 * 3600)] == [
        "0:00",
        "1:05",
        "2:03:10",
        "4 days 3 h",
    ]
    assert spell_spent(65) == "1:05 spent"
    assert spell_left(TimeLeft(65, True)) == "1:05 left"
    assert spell_left(TimeLeft(65, False, (TRAINING,))) == "1:05 + training"
    assert spell_left(TimeLeft(0, False, (TRAINING,))) == "training left"
    assert spell_left(TimeLeft(65, False, ("another kind",))) == "1:05 + more"
    assert spell_left(None) == ""


# ---------------------------------------------------------------- time left


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one."""
    time = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: time[0])
    return time


def test_the_time_left_is_that_of_each_kind_of_work(now: list[float]) -> None:
    clock = WorkClock()
    assert clock.time_left() is None
    clock.expect(DENOISING, 100)
    clock.expect(TRAINING, 10)
    assert clock.time_left() is None
    clock.done(DENOISING, 10)  # the first ones took who knows how long
    for _ in range(4):
        now[0] += 2.0
        clock.done(DENOISING, 10)
    assert clock.time_left() == TimeLeft(50 * 0.2, False, (TRAINING,))
    now[0] += 1.0
    assert clock.time_left() == TimeLeft(
        9.0, False, (TRAINING,)
    )  # and it goes on while a step is under way
    clock.done(DENOISING, 50)
    clock.done(TRAINING, 2)
    now[0] += 6.0
    clock.done(TRAINING, 2)
    assert clock.time_left() == TimeLeft(18.0, True)


def test_what_was_done_before_shortens_the_work_and_says_nothing_of_its_pace(
    now: list[float],
) -> None:
    clock = WorkClock()
    clock.expect(TRAINING, 100, seconds=0.5)
    assert clock.time_left() == TimeLeft(50.0, True)
    clock.done(TRAINING, 60, now=False)
    assert clock.time_left() == TimeLeft(20.0, True)
    clock.done(TRAINING, 10)
    clock.pause()  # something else takes an hour
    now[0] += 3600
    clock.done(TRAINING, 10)
    now[0] += 10
    clock.done(TRAINING, 10)
    assert clock.time_left() == TimeLeft(10.0, True)


def test_a_time_in_which_the_process_was_stopped_tells_no_pace(now: list[float]) -> None:
    screen = Display(io.StringIO())
    screen.expect(TRAINING, 100)
    screen.show("hashing", 0, 100)
    for done in (10, 20):
        now[0] += 10.0
        screen.done(TRAINING, 10)
        screen.show("hashing", done, 100)
    now[0] += 3600.0  # Ctrl-Z, and an hour later fg
    os.kill(os.getpid(), signal.SIGCONT)
    now[0] += 10.0
    screen.done(TRAINING, 10)
    screen.show("hashing", 30, 100)
    assert screen.clock.time_left() == TimeLeft(70.0, True)
    assert [row.left for row in screen.rows()] == ["1:10 left"]


def test_the_bar_never_goes_back_and_ends_full(now: list[float]) -> None:
    clock = WorkClock()
    clock.expect(DENOISING, 10)
    shares = []
    for _ in range(10):
        now[0] += 1
        clock.done(DENOISING, 1)
        shares.append(clock.share())
    clock.expect(TRAINING, 50)  # more than was expected
    shares.append(clock.share())
    for _ in range(50):
        now[0] += 5
        clock.done(TRAINING, 1)
        shares.append(clock.share())
    assert shares == sorted(shares)
    assert 0 < shares[0] < shares[-1] == 1.0


# ---------------------------------------------------------------- in a terminal


class _Tty(io.StringIO):
    def __init__(self, columns: int) -> None:
        super().__init__()
        self.screen, self._stream = screen_of(columns)

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._stream.feed(text.replace("\n", "\r\n").encode())
        return len(text)

    def shown(self) -> str:
        return shown(self.screen)

    def resize(self, columns: int) -> None:
        self.screen.resize(24, columns)


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_display()


def _tty(monkeypatch: pytest.MonkeyPatch, term: str = "xterm-256color") -> _Tty:
    """Standard error becomes a terminal, until the test ends."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("TERM", term)
    stream = _Tty(80)
    monkeypatch.setattr(
        "os.get_terminal_size", lambda *_: os.terminal_size((stream.screen.columns, 24))
    )
    monkeypatch.setattr("sys.stderr", stream)
    # it is drawn where a test says so, and not by a thread in the middle of it
    monkeypatch.setattr("discl.parts.trackers.base.display.DRAWN_PER_SECOND", 1e-6)
    return stream


def _drawn_now() -> None:
    """As the clock of the terminal does it, four times a second."""
    live: Any = display().progress
    live.refresh()


def _run(folder: Path, number: int, strategy: str) -> dict[str, Any]:
    described = CONTRACT.described(folder, number)
    return described | {"config": described["config"] | {"strategy": strategy, "seed": number}}


def test_a_bench_is_one_bar_from_the_first_image_to_the_last_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, now: list[float]
) -> None:
    tty = _tty(monkeypatch)
    told = Console()
    told.expect("toy, smoke", 2)
    work = display()
    work.expect(DENOISING, 40)
    work.expect(TRAINING, 8)
    for images in range(0, 4):
        told.progress("making images", images, 4)
        now[0] += 1
        work.done(DENOISING, 10)
    _drawn_now()
    screen = tty.shown()
    assert screen.count("━ ") <= 1
    assert "toy, smoke" in screen
    assert "0/2 runs" in screen
    assert "  making images" in screen
    assert "3/4" in screen
    told.progress("making images", 4, 4)
    for number, strategy in ((1, "static"), (2, "real_only")):
        told.start(_run(tmp_path, number, strategy))
        for epoch in range(2):
            for _ in range(2):
                now[0] += 3
                work.done(TRAINING, 1)
            told.report(CONTRACT.report(epoch))
        _drawn_now()
        screen = tty.shown()
        assert f"{strategy}, seed {number}" in screen
        assert "2/2 epochs" in screen
        assert "making images" not in screen
        assert ("0:12 left" in screen) == (number == 1)
        told.finish({"val/macro_acc": 0.5, "test/macro_acc": 0.4})
    echo("the table", err=True)
    screen = tty.shown()
    assert screen.splitlines()[:2] == [
        "[1/2] static, seed 1, val's epoch: test 40.0%",
        "[2/2] real_only, seed 2, val's epoch: test 40.0%",
    ]
    assert screen.splitlines()[2:] == ["the table"]  # nothing is left of the bar


def test_what_is_said_meanwhile_stands_above_the_bar(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tty = _tty(monkeypatch)
    told = Console()
    told.progress("reading photos", 1, 4)
    echo("photo 3 is damaged", err=True)
    told.progress("reading photos", 2, 4)
    _drawn_now()
    lines = tty.shown().splitlines()
    assert lines[0] == "photo 3 is damaged"
    assert lines[1].startswith("reading photos")
    assert len(lines) == 2


def test_a_terminal_that_is_resized_in_the_middle_shows_whole_rows_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tty = _tty(monkeypatch)
    told = Console()
    told.expect("cifar10_lt, smoke", 9)
    for columns in (80, 60, 40, 120, 60):
        tty.resize(columns)
        told.progress("making images", columns, 200)
        _drawn_now()
        last = tty.shown().splitlines()[-2:]
        assert last[0].startswith("cifar10_lt, smoke")
        assert "0/9 runs" in last[0]
        assert last[1].startswith("  making images")
        assert f"{columns}/200" in last[1]


@pytest.mark.parametrize("term", ["", "dumb"])
def test_a_terminal_of_which_nothing_is_known_gets_lines(
    monkeypatch: pytest.MonkeyPatch, term: str
) -> None:
    tty = _tty(monkeypatch, term)
    for done in (0, 1, 2):
        Console().progress("making images", done, 2)
    assert tty.shown().splitlines() == ["making images: 0/2", "making images: 2/2"]


@pytest.mark.parametrize("columns", ["0", "-1", "abc", "\u00b2", "9" * 5000])
def test_what_is_no_width_of_a_terminal_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    tty = _tty(monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)
    Console().progress("making images", 1, 2)
    _drawn_now()
    assert "making images" in tty.shown()
    assert terminal_width(err=True) == 80


# ---------------------------------------------------------------- without a terminal


def test_a_log_gets_lines_without_codes_whatever_force_color_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    for done in (0, 1, 2):
        Console().progress("making images", done, 2)
    assert capsys.readouterr().err == "making images: 0/2\nmaking images: 2/2\n"


def test_a_log_gets_a_line_a_minute_and_one_a_finished_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, now: list[float]
) -> None:
    told = Console()
    told.expect("toy, smoke", 2)
    work = display()
    work.expect(DENOISING, 1800, seconds=0.1)
    work.expect(TRAINING, 600, seconds=0.5)
    for images in range(18):
        told.progress("making images", images, 18)
        for _ in range(10):
            now[0] += 1
            work.done(DENOISING, 10)
    told.progress("making images", 18, 18)
    told.start(_run(tmp_path, 1, "static"))
    now[0] += 1
    work.done(TRAINING, 600)
    told.report(CONTRACT.report(0))
    told.finish({"val/macro_acc": 0.5, "test/macro_acc": 0.4})
    assert capsys.readouterr().err.splitlines() == [
        "making images: 0/18",
        "making images: 5/18, 0/2 runs, 7:00 left",
        "making images: 11/18, 0/2 runs, 6:00 left",
        "making images: 17/18, 0/2 runs, 5:00 left",
        "making images: 18/18",
        "1/2 contract, val's epoch: test 40.0%",
    ]
