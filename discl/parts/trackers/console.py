"""The terminal: progress bars with the remaining time; plain lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from discl.core.conventions import VAL, base_name, epoch_rule, id_test_split
from discl.core.interfaces import EpochReport
from discl.core.metric_names import higher_is_better, is_share
from discl.core.text import console


class Console:
    version = 1

    def __init__(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._terminal = console(file=sys.stderr)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", style="dim", markup=False),
            console=self._terminal,
            transient=True,
        )
        self._tasks: dict[str, Any] = {}
        self._run: Mapping[str, Any] = {}
        self._last: EpochReport | None = None
        self._best: dict[str, float] = {}

    def progress(self, what: str, done: int, total: int) -> None:
        if not self._terminal.is_terminal:
            if done == 0 or done >= total:
                self._terminal.print(f"{what}: {done}/{total}")
            return
        task = self._task(what, total)
        self._progress.update(task, completed=done, total=total)
        if done >= total:
            self._remove(what)

    def start(self, run: Mapping[str, Any]) -> None:
        self._run = run
        self._best = {}
        if self._terminal.is_terminal:
            self._task(self._title(), run["epochs"])

    def report(self, report: EpochReport) -> None:
        self._last = report
        for key, value in report.values.items():
            better = max if higher_is_better(key) else min
            self._best[key] = better(value, self._best.get(key, value))
        if self._terminal.is_terminal:
            mix = "photos" if report.real_phase else " ".join(f"{level}%" for level in report.mix)
            note = f"level {mix}"
            selected = self._run["config"]["select"]["metric"]
            if selected in self._best:
                note += f", best {selected} {_shown(selected, self._best[selected])}"
            self._progress.update(
                self._task(self._title(), self._run["epochs"]),
                completed=report.epoch + 1,
                note=note,
            )

    def finish(self, summary: Mapping[str, float] | None) -> None:
        if self._terminal.is_terminal:
            self._remove(self._title())
        if summary is None:
            self._terminal.print(f"{self._title()}: stopped before the end")
            return
        id_test = id_test_split({key.rsplit("/", 1)[0] for key in summary})
        primary = self._run["config"]["select"]["metric"].removeprefix("val/")
        shown = {
            id_test: f"{id_test}/{primary}",
            "few": f"{id_test}/few_acc",
            "ood": f"ood/{primary}",
        }
        values = ", ".join(
            f"{name} {_shown(key, summary[key])}" for name, key in shown.items() if key in summary
        )
        rule = self._run["config"]["select"].get("epoch", VAL.name)
        self._terminal.print(f"{self._title()}, {epoch_rule(rule).short}: {values}")

    def _title(self) -> str:
        number, total = self._run["position"]
        if self._terminal.is_terminal:
            return f"[{number}/{total}] {self._run['name']}"
        return f"{number}/{total} {self._run['name']}"

    def _task(self, what: str, total: int) -> Any:
        if what not in self._tasks:
            if not self._tasks:
                self._progress.start()
            self._tasks[what] = self._progress.add_task(what, total=total, note="")
        return self._tasks[what]

    def _remove(self, what: str) -> None:
        if what in self._tasks:
            self._progress.remove_task(self._tasks.pop(what))
        if not self._tasks:
            self._progress.stop()


def _shown(metric: str, value: float) -> str:
    return f"{value:.1%}" if is_share(base_name(metric)) else f"{value:.4g}"
