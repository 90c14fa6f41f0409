"""What is under way, on standard error: rows that change in a terminal, else a line a minute."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from discl.core.progress import TimeLeft, WorkClock, tell_of_stops
from discl.core.text import console
from discl.parts.trackers.base.rows import ProgressRow, fitted, spell_left, spell_spent

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress

LINE_SECONDS = 60.0  # between two lines of a log
DRAWN_PER_SECOND = 4.0  # times, in a terminal


@dataclass
class _Doing:
    """Something under way."""

    done: int
    total: int
    unit: str
    note: str = ""
    began_s: float = field(default_factory=lambda: time.monotonic())
    first: int = 0  # units that were done when it began
    told_s: float = field(default_factory=lambda: time.monotonic())
    stopped_s: float = 0.0  # of the time since then, in which the process stood still

    def continued(self) -> None:
        """The process was stopped, some time since this was last told."""
        now_s = time.monotonic()
        self.stopped_s += now_s - self.told_s
        self.told_s = now_s

    def time_left(self) -> TimeLeft | None:
        """At the pace of this work so far."""
        done = self.done - self.first
        if done <= 0:
            return None
        elapsed_s = time.monotonic() - self.began_s - self.stopped_s
        return TimeLeft(elapsed_s / done * (self.total - self.done), True)

    @property
    def count(self) -> str:
        if self.total <= 1:  # a step that says nothing but that it is done
            return ""
        return f"{self.done:,}/{self.total:,}{self.unit}"


def can_redraw(terminal: RichConsole) -> bool:
    """Whether it is a terminal, and not one that may not know how to go back a line."""
    known = os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    return known and terminal.is_terminal


class Display:
    """Shows work under way, each by its name; told of units of work, it tells the time left.

    Where `whole` was called there is one bar for everything, else one for each work.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.stream = stream
        self.terminal = console(file=stream)
        self.clock = WorkClock()
        self.is_live = can_redraw(self.terminal)
        self._doing: dict[str, _Doing] = {}
        self._whole: _Doing | None = None
        self._title = ""
        self.progress: Progress | None = None
        self._line_s = time.monotonic()
        tell_of_stops(self.continued)

    def continued(self) -> None:
        """The process was stopped: that time tells no pace."""
        self.clock.pause()
        for doing in self._doing.values():
            doing.continued()

    # ------------------------------------------------------------ work, as it is done

    def expect(self, kind: str, units: int, seconds: float = math.nan) -> None:
        self.clock.expect(kind, units, seconds)

    def done(self, kind: str, units: int, *, now: bool = True) -> None:
        self.clock.done(kind, units, now=now)
        self._log()

    # ------------------------------------------------------------ what is shown

    def whole(self, title: str, runs: int) -> None:
        """What follows are parts of one work: so many runs, and what they need."""
        self._title = title
        self._whole = _Doing(0, runs, " runs" if runs > 1 else " run")
        self._refresh()

    def run_finished(self) -> None:
        """One run of the whole is done."""
        if self._whole:
            self._whole.done += 1
            if self._whole.done >= self._whole.total:
                self._whole = None
        self._refresh()

    def show(
        self, name: str, done: int, total: int, note: str = "", *, is_run: bool = False
    ) -> None:
        """`name` is under way, `done` of `total` of it; told again, it is as far as that.

        Between runs (of which epochs are counted) the time goes on as theirs; else it is of a work
        of its own.
        """
        if name not in self._doing:
            self._doing[name] = _Doing(done, total, " epochs" if is_run else "", first=done)
            if not is_run:
                self.clock.pause()
        doing = self._doing[name]
        doing.told_s = time.monotonic()
        doing.done = done
        doing.total = total
        doing.note = note
        self._refresh()
        self._log()

    def remove(self, name: str) -> None:
        """`name` is no longer under way."""
        self._doing.pop(name, None)
        self._refresh()

    def line(self, text: str) -> None:
        """A line that stays."""
        self.terminal.print(text, soft_wrap=not self.is_live)

    def close(self) -> None:
        """Nothing is under way any more."""
        self._doing.clear()
        self._whole = None
        self._refresh()

    def rows(self) -> list[ProgressRow]:
        """What is under way, the whole first; rich asks for it in a thread of its own."""
        now_s = time.monotonic()
        whole = self._whole
        rows = []
        if whole:
            share = self.clock.share()
            left = spell_left(self.clock.time_left())
            rows.append(
                ProgressRow(
                    self._title,
                    whole.count,
                    left,
                    spell_spent(now_s - whole.began_s),
                    # beside the rest, where it goes first when there is no room
                    note="time left unknown" if not left and share < 1 else "",
                    share=share,
                )
            )
        for name, doing in list(self._doing.items()):
            if whole:
                rows.append(ProgressRow(f"  {name}", doing.count, "", note=doing.note))
            else:
                share = min(1.0, doing.done / max(1, doing.total))
                left = spell_left(doing.time_left())
                elapsed = spell_spent(now_s - doing.began_s)
                rows.append(ProgressRow(name, doing.count, left, elapsed, doing.note, share))
        return rows

    def _refresh(self) -> None:
        """Draw the rows, or stop drawing where there are none."""
        if not self.is_live:
            return
        if not self._doing and not self._whole:
            if self.progress:
                self.progress.stop()
                self.progress = None
            return
        if self.progress is None:
            self.progress = _fitted_progress(self)
            self.progress.start()

    def _log(self) -> None:
        """A line of how far it is, where a minute has passed since the last one."""
        if self.is_live or not self._doing or time.monotonic() - self._line_s < LINE_SECONDS:
            return
        self._line_s = time.monotonic()
        name, doing = list(self._doing.items())[-1]
        parts = [f"{name}: {doing.count}".rstrip(": ")]
        left = self.clock.time_left() if self._whole else doing.time_left()
        if self._whole:
            parts.append(self._whole.count)
        if left:
            parts.append(spell_left(left))
        self.line(", ".join(parts))


def _fitted_progress(display: Display) -> Progress:
    """rich's display of the rows; its tasks are ours, its table fits the terminal as it is now."""
    from rich.progress import Progress
    from rich.table import Table

    class FittedProgress(Progress):
        def make_tasks_table(self, tasks: Any) -> Table:
            return fitted(display.rows(), display.terminal.width)

    return FittedProgress(
        console=display.terminal,
        transient=True,
        refresh_per_second=DRAWN_PER_SECOND,
        redirect_stdout=sys.stdout.isatty(),  # what goes into a file stays there
    )


_displays: list[Display] = []  # one at most: that of standard error as it is now


def display() -> Display:
    """The one of standard error: a terminal has one place for what changes."""
    # rich stands before it while it draws
    stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    if not _displays or _displays[0].stream is not stream:
        _displays[:] = [Display(stream)]
    return _displays[0]


def close_display() -> None:
    """Leave the terminal as it was; what is shown next begins anew."""
    for each in _displays:
        each.close()
    _displays.clear()
