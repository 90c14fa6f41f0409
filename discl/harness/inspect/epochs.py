"""Which epoch runs are shown at: one rule for all runs that are shown together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from discl.core.conventions import LAST, VAL, EpochRule
from discl.harness.inspect.index import StoredRun
from discl.harness.leaderboard.epochs import read


class ReadRuns(NamedTuple):
    """Runs whose results are of one rule."""

    runs: list[StoredRun]
    rule: EpochRule
    note: str  # why it is another rule than the last epoch; "" where it is that, or was asked for


def at_epoch(runs: Sequence[StoredRun], epoch: str | None) -> ReadRuns:
    """Runs read by the rule `epoch`; without one at their last epochs, where all keep it.

    Runs without a result stay as they are. Raises UserError for an unknown rule, and where a result
    lacks the one that is asked for.
    """
    results = [run.result for run in runs if run.result]
    at = read(results, epoch or LAST.name, asked=epoch is not None)
    views = iter(at.results)
    shown = [replace(run, result=next(views)) if run.result else run for run in runs]
    return ReadRuns(shown, at.rule if results else VAL, at.note)
