"""The agenda of a plain list of runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping

from discl.config.experiment import Experiment
from discl.core.interfaces import NOT_READY, NotReady
from discl.core.result import Result
from discl.harness.run.store import Failure, Store
from discl.harness.sweep.planned_run import BUSY_PAUSE_SECONDS, Outcome, PlannedRun


class RunList:
    """Runs of a list that the store does not have.

    A run that fails is tried `retry` times more; one that another process makes is waited for.
    """

    def __init__(
        self,
        experiments: Iterable[Experiment],
        store: Store,
        retry: int = 0,
        group: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.store = store
        self.retry = retry
        self.group = group
        self.labels = labels or {}
        self.results: dict[str, Result] = {}
        self.failures: dict[str, Failure] = {}
        self.experiments = {experiment.id(): experiment for experiment in experiments}
        self.attempts = dict.fromkeys(self.experiments, 0)
        for id in self.experiments:
            if result := store.find(id):
                self.results[id] = result
        self.stored = len(self.results)
        self.todo = deque(id for id in self.experiments if id not in self.results)
        self.busy_elsewhere: dict[str, float] = {}  # run -> when we last asked
        self.under_way = 0

    def next(self) -> PlannedRun | NotReady | None:
        """A run to make; NOT_READY while others may come back; None at the end."""
        if not self.todo:
            self._ask_again()
        if self.todo:
            self.under_way += 1
            id = self.todo.popleft()
            return PlannedRun(self.experiments[id], self.group, self.labels.get(id, ""))
        return NOT_READY if self.busy_elsewhere or self.under_way else None

    def _ask_again(self) -> None:
        """Queue runs that another process made a while ago: stored by now, free, or still busy."""
        now = time.monotonic()
        due = [id for id, asked in self.busy_elsewhere.items() if now - asked > BUSY_PAUSE_SECONDS]
        for id in due:
            del self.busy_elsewhere[id]
            self.todo.append(id)

    def take(self, planned: PlannedRun, outcome: Outcome) -> None:
        """Record the outcome of a run that `next` gave."""
        id = planned.experiment.id()
        self.under_way -= 1
        if outcome.result:
            self.results[id] = outcome.result
            self.failures.pop(id, None)
        elif outcome.failure:
            self.failures[id] = outcome.failure
            self.attempts[id] += 1
            if self.attempts[id] <= self.retry:
                self.todo.append(id)
        else:
            self.busy_elsewhere[id] = time.monotonic()

    def reasons(self) -> dict[str, str]:
        """Why runs failed, by the names that a person sees."""
        return {
            self.labels.get(id, self.experiments[id].name): failure.why
            for id, failure in self.failures.items()
        }
