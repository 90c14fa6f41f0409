"""What the epochs of runs tell, together: validation and loss over epochs, the levels each strategy
took, and what the probe saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from discl.core.interfaces import EpochReport
from discl.harness.leaderboard import statistics
from discl.harness.leaderboard.table import Board
from discl.harness.run import events
from discl.harness.run.store import Store

MOST_RUNS = 50  # of a strategy whose records are read; more move no band that a person could see


@dataclass(frozen=True)
class Histories:
    """Reports of every run whose record is here."""

    epochs: dict[str, list[list[EpochReport]]] = field(
        default_factory=dict
    )  # strategy -> run -> epoch
    chosen: str = ""  # the metric that chose the epoch

    def val(self) -> list[dict[str, Any]]:
        """Strategy x epoch: the metric that chose the epoch, percent."""
        return self._curve(lambda epoch: epoch.values.get(self.chosen), 100.0)

    def loss(self) -> list[dict[str, Any]]:
        """Strategy x epoch: mean training loss."""
        return self._curve(lambda epoch: epoch.loss, 1.0)

    def _curve(self, value: Any, scale: float) -> list[dict[str, Any]]:
        found = []
        for name, runs in self.epochs.items():
            for epoch, values in _by_epoch(
                (each.epoch, value(each)) for run in runs for each in run
            ):
                one = statistics.estimate([scale * each for each in values])
                half = one.half_width or 0.0
                found.append(
                    {
                        "strategy": name,
                        "epoch": epoch + 1,
                        "mean": round(one.mean, 4),
                        "low": round(one.mean - half, 4),
                    }
                    | {"high": round(one.mean + half, 4), "n": one.n}
                )
        return found

    def levels(self) -> list[dict[str, Any]]:
        """Strategy x epoch x level: its share of the mix, percent, mean over runs, and where it
        lies in the epoch's column.
        """
        found: list[dict[str, Any]] = []
        for name, runs in self.epochs.items():
            filled: dict[int, float] = {}
            for epoch, level, share in _mean_by_level(
                ((each.epoch, each.mix) for run in runs for each in run), absent=0.0
            ):
                if share > 0:
                    start = filled.get(epoch, 0.0)
                    filled[epoch] = start + 100 * share
                    place = {"from": round(start, 2), "to": round(filled[epoch], 2)}
                    found.append(
                        {
                            "strategy": name,
                            "epoch": epoch + 1,
                            "level": level,
                            "share": round(100 * share, 2),
                            **place,
                        }
                    )
        return found

    def gains(self) -> list[dict[str, Any]]:
        """Strategy x epoch x level: what the probe gained, points of probability, mean over runs;
        only where a probe ran.
        """
        return [
            {"strategy": name, "epoch": epoch + 1, "level": level, "gain": round(100 * gain, 3)}
            for name, runs in self.epochs.items()
            for epoch, level, gain in _mean_by_level(
                ((each.epoch, each.gains) for run in runs for each in run), absent=None
            )
        ]


def histories(made: Board, store: Store) -> Histories:
    """From the records of the runs on a board, where they are in the store."""
    chosen = str(made.rows[0].results[0].identity["select"]["metric"])
    found = {}
    for row in made.rows:
        runs = [events.epochs(store.folder(result)) for result in row.results[:MOST_RUNS]]
        if there := [run for run in runs if run]:
            found[row.strategy] = there
    return Histories(found, chosen if chosen.startswith("val/") else f"val/{chosen}")


def _by_epoch(pairs: Iterable[tuple[int, float | None]]) -> list[tuple[int, list[float]]]:
    found: dict[int, list[float]] = {}
    for epoch, value in pairs:
        if value is not None and np.isfinite(value):
            found.setdefault(epoch, []).append(value)
    return sorted(found.items())


def _mean_by_level(
    pairs: Iterable[tuple[int, Mapping[int, float]]], absent: float | None
) -> list[tuple[int, int, float]]:
    """(epoch, level, mean over runs); a level that a run does not name counts `absent`, or not at
    all.
    """
    runs: dict[int, list[Mapping[int, float]]] = {}
    for epoch, by_level in pairs:
        runs.setdefault(epoch, []).append(by_level)
    found = []
    for epoch, each in sorted(runs.items()):
        for level in sorted(set().union(*each)):
            values = [one.get(level, absent) for one in each]
            if finite := [value for value in values if value is not None and np.isfinite(value)]:
                found.append((epoch, level, float(np.mean(finite))))
    return found
