"""The terminal: one bar with the time left; a line a minute where there is no terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discl.core.conventions import VAL, base_name, epoch_rule, id_test_split
from discl.core.interfaces import EpochReport
from discl.core.metric_names import higher_is_better, is_share
from discl.parts.trackers.base.display import Display, display


class Console:
    version = 1

    def __init__(self) -> None:
        self._run: Mapping[str, Any] = {}
        self._best: dict[str, float] = {}

    @property
    def _display(self) -> Display:
        return display()

    def expect(self, title: str, runs: int) -> None:
        """So many runs follow, which are shown as one work."""
        self._display.whole(title, runs)

    def progress(self, what: str, done: int, total: int) -> None:
        shown = self._display
        if not shown.is_live and (done == 0 or done >= total):
            shown.line(f"{what}: {done}/{total}")
        if done >= total:
            shown.remove(what)
        else:
            shown.show(what, done, total)

    def start(self, run: Mapping[str, Any]) -> None:
        self._run = run
        self._best = {}
        self._display.show(self._short_name(), 0, run["epochs"], is_run=True)

    def report(self, report: EpochReport) -> None:
        for key, value in report.values.items():
            better = max if higher_is_better(key) else min
            self._best[key] = better(value, self._best.get(key, value))
        mix = "photos" if report.real_phase else " ".join(f"{level}%" for level in report.mix)
        note = f"level {mix}"
        selected = self._run["config"]["select"]["metric"]
        if selected in self._best:
            note += f", best {selected} {_shown(selected, self._best[selected])}"
        self._display.show(
            self._short_name(), report.epoch + 1, self._run["epochs"], note, is_run=True
        )

    def finish(self, summary: Mapping[str, float] | None) -> None:
        self._display.remove(self._short_name())
        if summary is None:
            self._display.line(f"{self._title()}: stopped before the end")
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
        self._display.line(f"{self._title()}, {epoch_rule(rule).short}: {values}")
        self._display.run_finished()

    def _short_name(self) -> str:
        """Strategy and seed: all else is the same in the runs of one command."""
        config = self._run["config"]
        if "strategy" not in config:
            return str(self._run["name"])
        return f"{config['strategy']}, seed {config['seed']}"

    def _title(self) -> str:
        number, total = self._run["position"]
        if self._display.is_live:
            return f"[{number}/{total}] {self._short_name()}"
        return f"{number}/{total} {self._run['name']}"


def _shown(metric: str, value: float) -> str:
    return f"{value:.1%}" if is_share(base_name(metric)) else f"{value:.4g}"
