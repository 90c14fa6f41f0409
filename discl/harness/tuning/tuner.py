"""Tunes the strategies of a sweep file: a study for each, all with the same budget."""

from __future__ import annotations

import itertools
from typing import Any

from optuna.storages import RDBStorage

from discl.config import sweep_expand
from discl.config.sweep import SweepFile
from discl.core.interfaces import NOT_READY, NotReady
from discl.harness.sweep.planned_run import Outcome, PlannedRun
from discl.harness.tuning.storage.heartbeat import Heartbeat
from discl.harness.tuning.study import StrategyStudy


class Tuner:
    """The agenda of a tuning sweep.

    The studies of all strategies, rung after rung, share the workers evenly.
    """

    def __init__(self, sweep: SweepFile, storage: RDBStorage, retry: int = 0) -> None:
        assert sweep.tune is not None  # noqa: S101 - a file with a space has it
        self.storage = storage
        self.retry = retry
        self.keep = sweep.tune.keep
        self.rungs = sweep_expand.rungs(sweep)
        self.strategies = sweep_expand.strategies(sweep)
        self.current_rung = dict.fromkeys(self.strategies, 0)
        self.studies = {
            (strategy, 0): StrategyStudy(self.rungs[0], strategy, 0, storage, [])
            for strategy in self.strategies
        }
        self._turns = itertools.cycle(self.strategies)
        self.heartbeat = Heartbeat(storage)

    def __enter__(self) -> Tuner:
        self.heartbeat.__enter__()
        for study in self.studies.values():
            study.retry_failed()
        return self

    def __exit__(self, *ended: Any) -> None:
        for study in self.studies.values():
            study.release()
        self.heartbeat.__exit__(*ended)

    @property
    def objective(self) -> str:
        return self.studies[self.strategies[0], 0].objective[0]

    def study(self, strategy: str) -> StrategyStudy:
        """The study of a strategy on the rung it has reached."""
        return self.studies[strategy, self.current_rung[strategy]]

    def final(self, strategy: str) -> StrategyStudy | None:
        """The study of a strategy on the last rung, if it has got there."""
        return self.studies.get((strategy, len(self.rungs) - 1))

    def next(self) -> PlannedRun | NotReady | None:
        """The next run, the strategies in turn; NOT_READY while all wait; None at the end."""
        waiting = False
        for strategy in itertools.islice(self._turns, len(self.strategies)):
            planned = self._next_of(strategy)
            if isinstance(planned, PlannedRun):
                return planned
            waiting = waiting or planned is not None
        return NOT_READY if waiting else None

    def _next_of(self, strategy: str) -> PlannedRun | NotReady | None:
        planned = self.study(strategy).next(self.heartbeat)
        while planned is None and self.current_rung[strategy] + 1 < len(self.rungs):
            self._climb(strategy)
            planned = self.study(strategy).next(self.heartbeat)
        return planned

    def _climb(self, strategy: str) -> None:
        """Begin the next rung with the best of the one before."""
        best = self.study(strategy).best(self.keep)
        rung = self.current_rung[strategy] + 1
        self.current_rung[strategy] = rung
        study = StrategyStudy(self.rungs[rung], strategy, rung, self.storage, best)
        self.studies[strategy, rung] = study
        study.retry_failed()

    def take(self, planned: PlannedRun, outcome: Outcome) -> None:
        """Record the outcome of a run that `next` gave."""
        strategy, rung, number = planned.tag
        self.studies[strategy, rung].take(number, outcome, self.heartbeat, self.retry)
