"""The epochs of runs: validation and loss, the mix of levels, and the gains of the probe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discl.core.conventions import VAL
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.harness.leaderboard import statistics
from discl.harness.leaderboard.table import Board
from discl.harness.run import events
from discl.harness.run.store import Store
from discl.harness.run.validation import read_result

GROUPS = ("many", "medium", "few")
MOST_RUNS = 50  # of a strategy whose records are read; more move no band visibly


@dataclass(frozen=True)
class Histories:
    """Epoch reports of every run whose record is on this machine."""

    epochs: dict[str, list[list[EpochReport]]] = field(default_factory=dict)  # strategy -> runs
    chosen: str = ""  # the metric that chose the epoch

    def val(self) -> list[dict[str, Any]]:
        """Strategy x epoch: the metric that chose the epoch, percent.

        `low` and `high` are None where the runs of an epoch give no interval: one, or all alike.
        """
        return self._curve(lambda report: report.values.get(self.chosen), 100.0)

    def loss(self) -> list[dict[str, Any]]:
        """Strategy x epoch: mean training loss; `low` and `high` as of `val`."""
        return self._curve(lambda report: report.loss, 1.0)

    def _curve(
        self, value: Callable[[EpochReport], float | None], scale: float
    ) -> list[dict[str, Any]]:
        rows = []
        for name, runs in self.epochs.items():
            pairs = [(report.epoch, value(report)) for run in runs for report in run]
            for epoch, values in _by_epoch(pairs):
                estimate = statistics.estimate([scale * measured for measured in values])
                mean, half_width, n = estimate
                rows.append(
                    {
                        "strategy": name,
                        "epoch": epoch + 1,
                        "mean": round(mean, 4),
                        "low": None if half_width is None else round(mean - half_width, 4),
                        "high": None if half_width is None else round(mean + half_width, 4),
                        "n": n,
                    }
                )
        return rows

    def levels(self) -> list[dict[str, Any]]:
        """Strategy x epoch x level: its share of the mix, percent, mean over runs.

        `from` and `to` are its ends in the stacked column of the epoch.
        """
        rows = []
        for name, runs in self.epochs.items():
            mixes = [(report.epoch, report.mix) for run in runs for report in run]
            rows += _stacked(name, "level", _mean_by_level(mixes, absent=0.0))
        return rows

    def groups(self) -> list[dict[str, Any]]:
        """Strategy x epoch x group of classes: its share of the images drawn, percent, mean over
        runs.

        The rows are as those of `levels`. Nothing of runs whose record does not say it.
        """
        rows = []
        for name, runs in self.epochs.items():
            shares = [
                (report.epoch, _shares(report.seen_by_group))
                for run in runs
                for report in run
                if report.seen_by_group
            ]
            stacked = _stacked(name, "group", _mean_by_level(shares, absent=0.0))
            rows += [{**row, "group": GROUPS[row["group"]]} for row in stacked]
        return rows

    def gains(self) -> list[dict[str, Any]]:
        """Strategy x epoch x level: gain of the probe, points of probability, mean over runs.

        Only of runs that have a probe.
        """
        rows = []
        for name, runs in self.epochs.items():
            gains = [(report.epoch, report.gains) for run in runs for report in run]
            for epoch, level, gain in _mean_by_level(gains, absent=None):
                row = {"strategy": name, "epoch": epoch + 1, "level": level}
                rows.append({**row, "gain": round(100 * gain, 3)})
        return rows


def _shares(counts: Mapping[str, int]) -> dict[int, float]:
    """Position in GROUPS -> share of the images."""
    total = sum(counts.values())
    return {GROUPS.index(group): count / total for group, count in counts.items() if total}


def _stacked(
    strategy: str, key: str, shares: Iterable[tuple[int, int, float]]
) -> list[dict[str, Any]]:
    """Rows of stacked columns, from (epoch, what is stacked, its share)."""
    rows: list[dict[str, Any]] = []
    filled: dict[int, float] = {}
    for epoch, stacked, share in shares:
        if share <= 0:
            continue
        start = filled.get(epoch, 0.0)
        filled[epoch] = start + 100 * share
        ends = {"from": round(start, 2), "to": round(filled[epoch], 2)}
        row = {"strategy": strategy, "epoch": epoch + 1, key: stacked}
        rows.append({**row, "share": round(100 * share, 2), **ends})
    return rows


def load_histories(board: Board, store: Store, *, published: bool = False) -> Histories:
    """The records of the runs on a board, as far as they are in the store.

    Of rows from before a correction none. Beside `published` results only those of a strategy whose
    every run is here and predicted what was published: a stray run of this machine is no part of a
    published row, though it has the same id.
    """
    chosen = str(board.rows[0].results[0].identity["select"]["metric"])
    epochs = {}
    for row in board.rows:
        if row.before or (published and not _is_here(row.results[:MOST_RUNS], store)):
            continue
        runs = [events.epochs(store.folder(result)) for result in row.results[:MOST_RUNS]]
        recorded = [run for run in runs if run]
        if recorded:
            epochs[row.strategy] = recorded
    return Histories(epochs, chosen if chosen.startswith("val/") else f"val/{chosen}")


def _is_here(results: Sequence[Result], store: Store) -> bool:
    """Whether the runs in the store are the very ones that gave some results."""
    for result in results:
        path = store.folder(result) / "result.json"
        published = result.under(VAL.name).predictions
        if not path.exists() or read_result(path).predictions != published:
            return False
    return True


def _by_epoch(pairs: Iterable[tuple[int, float | None]]) -> list[tuple[int, list[float]]]:
    values: dict[int, list[float]] = {}
    for epoch, value in pairs:
        if value is not None and np.isfinite(value):
            values.setdefault(epoch, []).append(value)
    return sorted(values.items())


def _mean_by_level(
    pairs: Iterable[tuple[int, Mapping[int, float]]], absent: float | None
) -> list[tuple[int, int, float]]:
    """(epoch, level, mean over runs).

    A run without a value of the level counts as `absent`, or is left out where that is None.
    """
    runs: dict[int, list[Mapping[int, float]]] = {}
    for epoch, by_level in pairs:
        runs.setdefault(epoch, []).append(by_level)
    means = []
    for epoch, of_epoch in sorted(runs.items()):
        for level in sorted(set().union(*of_epoch)):
            values = [by_level.get(level, absent) for by_level in of_epoch]
            finite = [value for value in values if value is not None and np.isfinite(value)]
            if finite:
                means.append((epoch, level, float(np.mean(finite))))
    return means
