"""A sweep on the terminal: a live screen, or plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from discl.core.progress import DENOISING, TRAINING, WorkClock, counting, tell_of_stops
from discl.core.text import console, echo
from discl.harness.leaderboard.epochs import read
from discl.parts.trackers.base.display import can_redraw
from discl.parts.trackers.base.rows import ProgressRow, fitted, spell_spent

if TYPE_CHECKING:
    from discl.harness.sweep.cost import CostEstimate
    from discl.harness.sweep.planned_run import Outcome, PlannedRun

MOST_FAILURES = 12  # on the screen


class Screen:
    """Shows what is running, done and failed, the best so far, and the time left.

    `total` is the number of runs at most, `stored` those that were there before. `cost` is the work
    of the others where it is done in this process: the time left then goes by what is done of it.
    """

    def __init__(
        self, title: str, total: int, stored: int, metric: str, cost: CostEstimate | None = None
    ) -> None:
        self.title = title
        self.total = total
        self.stored = stored
        self.metric = metric
        self.began = time.monotonic()
        self.running: dict[str, tuple[PlannedRun, float]] = {}  # with the time it started
        self.done = 0
        self.given_up = 0
        self.failed: dict[str, str] = {}  # name -> why
        self.best: tuple[float, str] | None = None
        self.clock = WorkClock()
        self.is_here = cost is not None
        if cost:
            self.clock.expect(DENOISING, cost.denoising_steps)
            self.clock.expect(TRAINING, cost.optimiser_steps)
        self._stack = ExitStack()
        self._told_s = self.began
        self._stopped_s = 0.0
        tell_of_stops(self.continued)

    def continued(self) -> None:
        """The process was stopped, some time since a run ended: that time tells no pace."""
        now_s = time.monotonic()
        self._stopped_s += now_s - self._told_s
        self._told_s = now_s
        self.clock.pause()

    def __enter__(self) -> Screen:
        from rich.live import Live

        terminal = console(file=sys.stderr)
        self.plain = not can_redraw(terminal)
        if self.is_here:
            self._stack.enter_context(counting(self.clock))
        if not self.plain:
            live = Live(
                get_renderable=self.picture,
                console=terminal,
                refresh_per_second=2,
                transient=True,
            )
            self._stack.enter_context(live)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # ------------------------------------------------------------ what happens

    def started(self, planned: PlannedRun) -> None:
        """A run begins."""
        self.running[planned.experiment.id()] = (planned, time.monotonic())

    def ended(self, planned: PlannedRun, outcome: Outcome) -> None:
        """A run has an outcome."""
        now = self._told_s = time.monotonic()
        _, started = self.running.pop(planned.experiment.id(), (planned, now))
        name = planned.name
        failure = outcome.failure
        if outcome.result:
            self.done += 1
            self.failed.pop(name, None)
            wanted = planned.experiment.benchmark.select.epoch
            value = read([outcome.result], wanted).results[0].metrics.get(self.metric)
            if value is not None and (self.best is None or value > self.best[0]):
                self.best = (value, name)
            text = f"{name}: done" if value is None else f"{name}: {self.metric} {value:.1%}"
            self._print_line(text, now - started)
        elif failure and failure.kind == "stopped":
            self.given_up += 1
            self._print_line(f"{name}: {failure.why}", now - started)
        elif failure:
            self.failed[name] = failure.why
            peak = ""
            if failure.peak_bytes:
                peak = f", peak memory {failure.peak_bytes / 1e9:.2f} GB"
            self._print_line(f"{name} failed: {failure.why}{peak}", now - started)

    def _print_line(self, text: str, seconds: float) -> None:
        if self.plain:
            left = self.time_left()
            left = f", about {left} left" if left else ""
            echo(f"{self.stored + self.done}/{self.total} {text} ({seconds:.1f} s{left})", err=True)

    def time_left(self) -> str:
        """h:mm:ss at the pace since the launch; "" while it is not known."""
        remaining = self.total - self.stored - self.done
        if remaining <= 0:
            return ""
        by_work = self.clock.time_left() if self.is_here else None
        if by_work and by_work.is_all:
            seconds = int(by_work.seconds)
        elif self.done:
            worked_s = time.monotonic() - self.began - self._stopped_s
            seconds = int(worked_s / self.done * remaining)
        else:
            return ""
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"

    # ------------------------------------------------------------ what is shown

    def picture(self) -> Any:
        """The screen as rich draws it."""
        from rich.console import Group
        from rich.text import Text

        lines: list[Any] = [Text(self.title, style="bold"), self._counts(), _FittedRows(self)]
        if self.best:
            value, name = self.best
            lines.append(Text(f"  best {self.metric} {value:.1%}: {name}", style="green"))
        for name, why in list(self.failed.items())[-MOST_FAILURES:]:
            lines.append(
                Text(f"  failed: {name}: {why}", style="red", overflow="ellipsis", no_wrap=True)
            )
        return Group(*lines)

    def _counts(self) -> Any:
        from rich.text import Text

        counts = Text(f"{self.stored + self.done}/{self.total} done")
        if self.stored:
            counts.append(f" ({self.stored} were stored)")
        counts.append(f", {len(self.running)} running")
        if self.failed:
            counts.append(", ").append(f"{len(self.failed)} failed", style="red")
        if self.given_up:
            counts.append(f", {self.given_up} given up")
        return counts

    def rows(self) -> list[ProgressRow]:
        """All runs, then each that is under way."""
        from discl.harness.sweep.run_status import status

        now = time.monotonic()
        done = self.stored + self.done
        share = done / max(1, self.total)
        if self.is_here and self.total > self.stored:  # the stored ones are no part of the work
            share += (1 - self.stored / self.total) * self.clock.share() - self.done / self.total
        left = self.time_left()
        rows = [
            ProgressRow(
                "all runs",
                f"{done}/{self.total}",
                f"{left} left" if left else "",
                spell_spent(now - self.began),
                share=min(1.0, share),
            )
        ]
        for planned, started in list(self.running.values()):
            noted = status(planned.experiment)
            doing = f"{noted[0]} {noted[1]}/{noted[2]}" if noted else "beginning"
            elapsed = spell_spent(now - started)
            rows.append(ProgressRow(f"  {planned.name}: {doing}", "", "", elapsed))
        return rows


class _FittedRows:
    """The rows of a screen as they are when rich draws them, in the width that it has then."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        yield fitted(self._screen.rows(), options.max_width)
