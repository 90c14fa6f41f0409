"""Trials that launchers run: claimed once, kept alive by heartbeats, requeued after a death."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from discl.harness.tuning.storage.database import (
    FAILURE,
    HEARTBEAT_SECONDS,
    requeue,
    study_lock,
    with_retries,
)


class Heartbeat:
    """Records heartbeats of the trials that a launcher runs, from a thread.

    By them other launchers tell its trials from those of a dead one.
    """

    def __init__(self, storage: RDBStorage) -> None:
        self.storage = storage
        self._trial_ids: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="heartbeat")

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        # it may be waiting for a database that does not answer; then it ends with the process
        self._thread.join(0.5)

    def add(self, trial: FrozenTrial) -> None:
        """Record a heartbeat of `trial` at once, and regularly from now on."""
        with_retries(self.storage, lambda: self.storage.record_heartbeat(trial._trial_id))
        self._trial_ids.add(trial._trial_id)

    def remove(self, trial: FrozenTrial) -> None:
        """Record no more heartbeats of `trial`."""
        self._trial_ids.discard(trial._trial_id)

    def beat(self) -> None:
        """Record a heartbeat of every trial now."""
        for trial_id in tuple(self._trial_ids):
            self.storage.record_heartbeat(trial_id)

    def _run(self) -> None:
        pause_seconds: float = self.storage.get_heartbeat_interval() or HEARTBEAT_SECONDS
        due = pause_seconds
        while not self._stop.wait(due):
            try:
                self.beat()
                due = pause_seconds
            except (SQLAlchemyError, StorageInternalError):
                due = min(1.0, pause_seconds)
        self.storage.remove_session()


def claim(study: Study, heartbeat: Heartbeat) -> FrozenTrial | None:
    """Take the first waiting trial, which is then running and ours; None where none waits.

    Not `study.ask`: it creates a trial where none waits, and a launcher killed before the first
    heartbeat would leave a trial that runs for ever, because one without any heartbeat is never
    taken for dead. Here the heartbeat comes before the state.
    """
    storage = heartbeat.storage
    waiting_trials = with_retries(
        storage, lambda: study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    )
    for trial in waiting_trials:
        heartbeat.add(trial)
        if _set_running(storage, trial):
            return _stored(storage, trial)
        heartbeat.remove(trial)
    return None


def _set_running(storage: RDBStorage, trial: FrozenTrial) -> bool:
    """Whether it was still waiting, and is now running."""
    try:
        return with_retries(
            storage, lambda: storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
        )
    except UpdateFinishedTrialError:
        return False


def finish(
    study: Study,
    heartbeat: Heartbeat,
    trial: FrozenTrial,
    values: Sequence[float] | None = None,
    *,
    pruned: bool = False,
    failure: str | None = None,
) -> FrozenTrial:
    """Record once how `trial` ended: with `values`, pruned, or with a `failure`.

    Returns the trial as it is stored now. It ended otherwise where this launcher was taken for
    dead: then the trial failed and another one stands in its place.
    """
    storage = heartbeat.storage
    state = TrialState.PRUNED if pruned else TrialState.COMPLETE
    if failure is not None:
        state = TrialState.FAIL

    def tell() -> None:
        if failure is not None:
            storage.set_trial_user_attr(trial._trial_id, FAILURE, failure)
        study.tell(trial.number, values, state=state, skip_if_finished=True)

    with suppress(UpdateFinishedTrialError):
        with_retries(storage, tell)
    heartbeat.remove(trial)
    return _stored(storage, trial)


def _stored(storage: RDBStorage, trial: FrozenTrial) -> FrozenTrial:
    return with_retries(storage, lambda: storage.get_trial(trial._trial_id))


def requeue_dead(study: Study, heartbeat: Heartbeat) -> None:
    """Fail the trials whose launcher died, and queue a copy of each, once.

    A copy has the parameters, attributes and intermediate values. To be called again and again: a
    dead launcher is known by its silence after the grace period. A failed trial that has neither a
    `FAILURE` nor a successor afterwards has been restarted `MAX_RESTARTS` times.
    """
    # after an outage our own trials have been silent too
    with_retries(heartbeat.storage, heartbeat.beat)
    with study_lock(heartbeat.storage, study.study_name):
        with_retries(heartbeat.storage, lambda: _replace_dead(study))


def _replace_dead(study: Study) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
        # Optuna fails a trial first and queues its successor then; a launcher killed in between
        # left none
        trials = study.get_trials(deepcopy=False)
        replaced: set[int] = set()
        for trial in trials:
            replaced.update(RetryHeartbeatStaleTrialCallback.retry_history(trial))
    for trial in trials:
        if trial.state == TrialState.FAIL and trial.number not in replaced:
            requeue(study, copy.deepcopy(trial))
