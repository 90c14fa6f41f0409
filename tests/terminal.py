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
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyte


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
    """A `discl` command that takes this for its terminal; Ctrl-C is typed into it."""

    def __init__(
        self,
        words: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.screen, self._stream = screen_of(columns, lines)
        self.seen = list[str]()  # every different screen that there was
        self._master, slave = pty.openpty()
        self._set_size(lines, columns)
        variables = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "discl.cli", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**variables, "TERM": "xterm-256color", **(environment or {})},
            cwd=folder,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._master)

    def _set_size(self, lines: int, columns: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def resize(self, columns: int) -> None:
        self._set_size(self.screen.lines, columns)
        self.screen.resize(self.screen.lines, columns)

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends SIGINT to all that runs in it."""
        os.killpg(self._process.pid, signal.SIGINT)

    def read(self, seconds: float = 0.1) -> bool:
        """Draw what has come within these seconds; False at the end."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the program has ended
            return False
        self._stream.feed(data)
        now = shown(self.screen)
        if not self.seen or self.seen[-1] != now:
            self.seen.append(now)
        return bool(data)

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
