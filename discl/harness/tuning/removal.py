"""Removes studies from a database, unless a launcher is at work on them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from discl.core.errors import UserError
from discl.harness.tuning.history import definitions, sweep_of
from discl.harness.tuning.slots import SLOT
from discl.harness.tuning.storage.database import (
    GRACE_SECONDS,
    close_storage,
    open_storage,
    study_lock,
    with_retries,
)
from discl.harness.tuning.storage.heartbeat import Heartbeat, requeue_dead


def remove(url: str, studies: Sequence[str]) -> None:
    """Remove studies by name; their runs stay in the store.

    Raises UserError where a launcher is at work on their sweep.
    """
    storage = open_storage(url)
    try:
        known = definitions(storage)
        sweeps = {sweep_of(name, known[name]) for name in studies if name in known}
        for name, definition in known.items():
            # a launcher that trains for one study will want the others next
            if sweep_of(name, definition) in sweeps:
                _check_idle(storage, name)
        for name in studies:
            delete = partial(optuna.delete_study, study_name=name, storage=storage)
            with study_lock(storage, name), suppress(KeyError):  # another process has removed it
                with_retries(storage, delete)
    finally:
        close_storage(storage)


def _check_idle(storage: RDBStorage, name: str) -> None:
    study = optuna.load_study(study_name=name, storage=storage)
    requeue_dead(study, Heartbeat(storage))  # trials of dead launchers no longer run afterwards
    running = with_retries(
        storage, lambda: study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    )
    if running:
        slots = ", ".join(str(trial.user_attrs.get(SLOT, trial.number)) for trial in running)
        raise UserError(
            f"{name}: trial {slots} is running, so a launcher is at work on it, or was killed"
            f" within the last {GRACE_SECONDS} s; stop it by Ctrl-C, or wait so long"
        )
