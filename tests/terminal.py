"""Terminals without a screen: pyte keeps what a program has drawn, at any size.

with Terminal(["bench", "cifar10_lt"], columns=80, home=folder) as terminal:
    terminal.until(lambda screen: "left" in screen)
    terminal.resize(60)
    code = terminal.wait()
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte

from tests import processes


def screen_of(columns: int, lines: int = 24) -> tuple[pyte.HistoryScreen, pyte.ByteStream]:
    """A screen, and what writes to it as a terminal does."""
    screen = pyte.HistoryScreen(columns, lines, history=5000)
    return screen, pyte.ByteStream(screen)


def shown(screen: pyte.HistoryScreen) -> str:
    """All lines that the screen has and had, without trailing blanks."""
    above = [
        "".join(line[i].data for i in range(screen.columns)).rstrip() for line in screen.history.top
    ]
    return "\n".join([*above, *(line.rstrip() for line in screen.display)]).rstrip()


class Terminal:
    """A `discl` command in a process of its own that takes this for its terminal."""

    def __init__(
        self,
        words: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.screen, self._stream = screen_of(columns, lines)
        self.seen = list[str]()  # every different screen that there was
        self._master, slave = pty.openpty()
        self._set_size(lines, columns)
        variables = {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
        self._process = processes.begin(
            processes.discl,
            words,
            log=Path(os.ttyname(slave)),
            environment={**variables, **(environment or {})},
        )
        self._slave = slave  # open until the end: without any reader what was written is lost

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(10)
        os.close(self._slave)
        os.close(self._master)

    def _set_size(self, lines: int, columns: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def resize(self, columns: int) -> None:
        """To so many columns, as by a window manager: what is on its way is of the old width."""
        if columns < self.screen.columns:
            self._set_size(self.screen.lines, columns)
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                self.read()
            self.screen.resize(self.screen.lines, columns)
        else:
            self.screen.resize(self.screen.lines, columns)
            self._set_size(self.screen.lines, columns)

    def interrupt(self) -> None:
        """Ctrl-C, as the terminal sends it."""
        self._process.send_signal(signal.SIGINT)

    def read(self, seconds: float = 0.1) -> bool:
        """Draw what has come within these seconds; False at the end."""
        ended = self._process.poll() is not None
        ready, _, _ = select.select([self._master], [], [], 0.0 if ended else seconds)
        if not ready:
            return not ended
        self._stream.feed(os.read(self._master, 1 << 16))
        now = shown(self.screen)
        if not self.seen or self.seen[-1] != now:
            self.seen.append(now)
        return True

    def until(self, condition: Callable[[str], bool], seconds: float = 900.0) -> str:
        """Read until the screen is so; returns it."""
        end = time.monotonic() + seconds
        while not condition(shown(self.screen)):
            if not self.read() or time.monotonic() > end:
                raise AssertionError(f"it never came:\n{shown(self.screen)}")
        return shown(self.screen)

    def wait(self, seconds: float = 1500.0) -> int:
        """Read to the end; returns the exit code."""
        end = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < end, shown(self.screen)
        return self._process.wait(10)
