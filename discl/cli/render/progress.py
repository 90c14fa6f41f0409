"""A sweep on the terminal: a live screen, or plain lines where there is none."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from discl.harness.sweep.scheduler import Outcome, PlannedRun

SHOWN = 12  # failures on the screen


class Screen:
    """What is running, done and failed, how long it will take, and the best so far; `total` runs at
    most, where that is known.
    """

    def __init__(self, title: str, total: int, stored: int, metric: str) -> None:
        self.title = title
        self.total = total
        self.stored = stored
        self.metric = metric
        self.began = time.monotonic()
        self.running: dict[str, tuple[PlannedRun, float]] = {}
        self.done = self.given_up = 0
        self.failed: dict[str, str] = {}  # name -> why
        self.best: tuple[float, str] | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Screen:
        from rich.console import Console
        from rich.live import Live

        terminal = Console(file=sys.stderr)
        self.plain = not terminal.is_terminal
        if not self.plain:
            self._stack.enter_context(
                Live(
                    get_renderable=self._drawn,
                    console=terminal,
                    refresh_per_second=2,
                    transient=True,
                )
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- what happens

    def given(self, job: PlannedRun) -> None:
        self.running[job.experiment.id()] = (job, time.monotonic())

    def took(self, job: PlannedRun, outcome: Outcome) -> None:
        started = self.running.pop(job.experiment.id(), (job, time.monotonic()))[1]
        name = job.name
        seconds = time.monotonic() - started
        if outcome.result:
            self.done += 1
            self.failed.pop(name, None)
            value = outcome.result.metrics.get(self.metric)
            if value is not None and (self.best is None or value > self.best[0]):
                self.best = (value, name)
            self._line(
                f"{name}: {self.metric} {value:.1%}" if value is not None else f"{name}: done",
                seconds,
            )
        elif outcome.failure and outcome.failure.kind == "stopped":
            self.given_up += 1
            self._line(f"{name}: {outcome.failure.why}", seconds)
        elif outcome.failure:
            self.failed[name] = outcome.failure.why
            peak = (
                f", peak memory {outcome.failure.peak_bytes / 1e9:.2f} GB"
                if outcome.failure.peak_bytes
                else ""
            )
            self._line(f"{name} failed: {outcome.failure.why}{peak}", seconds)

    def _line(self, text: str, seconds: float) -> None:
        if self.plain:
            left = f", about {self._left()} left" if self._left() else ""
            click.echo(
                f"{self.stored + self.done}/{self.total} {text} ({seconds:.1f} s{left})", err=True
            )

    def _left(self) -> str:
        """Time to go, from how fast runs have come since the launch."""
        elapsed = time.monotonic() - self.began
        remaining = self.total - self.stored - self.done
        if not self.done or remaining <= 0:
            return ""
        seconds = int(elapsed / self.done * remaining)
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    # -- what is seen

    def _drawn(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        from discl.harness.sweep.scheduler import status

        head = Table.grid(padding=(0, 2))
        counts = f"{self.stored + self.done}/{self.total} done" + (
            f" ({self.stored} were stored)" if self.stored else ""
        )
        counts += f", {len(self.running)} running" + (
            f", [red]{len(self.failed)} failed[/]" if self.failed else ""
        )
        counts += f", {self.given_up} given up" if self.given_up else ""
        head.add_row(
            Text(self.title, style="bold"),
            ProgressBar(max(1, self.total), self.stored + self.done, width=30),
            counts,
        )
        rows = Table.grid(padding=(0, 2))
        now = time.monotonic()
        for job, started in list(self.running.values()):
            said = status(job.experiment)
            at = f"{said[0]} {said[1]}/{said[2]}" if said else "beginning"
            rows.add_row(
                "  ", Text(job.name), Text(at), f"{now - started:.0f} s"
            )  # a name may look like markup
        lines: list[Any] = [head, rows]
        if self.best:
            lines.append(
                Text(f"  best {self.metric} {self.best[0]:.1%}: {self.best[1]}", style="green")
            )
        if left := self._left():
            lines.append(Text(f"  about {left} left", style="dim"))
        for name, why in list(self.failed.items())[-SHOWN:]:
            lines.append(
                Text(f"  failed: {name}: {why}", style="red", overflow="ellipsis", no_wrap=True)
            )
        return Group(*lines)
