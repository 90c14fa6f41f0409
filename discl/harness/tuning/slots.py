"""Slots of a study's budget: which trial counts for each, its state, its value and its hours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import optuna
from optuna.trial import FrozenTrial, TrialState

from discl.harness.tuning.proposals import (
    STOPPED,
    best_of,
    directions_of,
    finished_trial,
    lower_is_better,
    quiet,
)
from discl.harness.tuning.storage.database import FAILURE

# attributes of a trial in the database
SLOT = "slot"  # its place in the budget
RUNS = "runs"  # curve, costs and seconds of its runs, by replicate
DUPLICATE_OF = "twin_of"  # it bears the slot of another trial, and is not run
SCORED = (TrialState.COMPLETE, TrialState.PRUNED)

Slots = Sequence[FrozenTrial | None]


def slots_of(trials: Iterable[FrozenTrial]) -> list[FrozenTrial | None]:
    """The trial that counts for each slot: the first not failed, or else the last failed one."""
    by_slot: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if SLOT in trial.user_attrs and DUPLICATE_OF not in trial.user_attrs:
            by_slot.setdefault(int(trial.user_attrs[SLOT]), []).append(trial)
    return [
        _counting(by_slot[slot]) if slot in by_slot else None
        for slot in range(max(by_slot, default=-1) + 1)
    ]


def _counting(trials: Sequence[FrozenTrial]) -> FrozenTrial:
    return next((trial for trial in trials if trial.state != TrialState.FAIL), trials[-1])


def winner_of(
    slots: Iterable[FrozenTrial | None], objective: Sequence[str] = ()
) -> FrozenTrial | None:
    """The best complete trial by the first objective; the earlier of equals."""
    lower = bool(objective) and lower_is_better(objective[0])
    complete = [
        trial
        for trial in slots
        if trial and trial.state == TrialState.COMPLETE and finished_trial(trial).complete
    ]
    order = best_of([finished_trial(trial, lower) for trial in complete])
    return complete[order[0]] if order else None


def hours_of(slots: Iterable[FrozenTrial | None]) -> float:
    """Hours of training; a run that was stored before counts nothing."""
    seconds = 0.0
    for trial in slots:
        if trial:
            runs = trial.user_attrs.get(RUNS, {})
            seconds += sum(float(run["seconds"]) for run in runs.values())
    return seconds / 3600


def state_of(trial: FrozenTrial) -> str:
    """complete, given up, failed, interrupted, running or waiting.

    A failed trial has a reason of its own; the next launch goes on with an interrupted one.
    """
    if trial.state in SCORED and STOPPED in trial.user_attrs:
        return "given up"
    if trial.state == TrialState.FAIL:
        return "failed" if FAILURE in trial.user_attrs else "interrupted"
    return trial.state.name.lower()


def value_of(trial: FrozenTrial) -> float | None:
    """The first objective; of a trial that was given up an estimate.

    None before the end, and after a failure.
    """
    if trial.state == TrialState.COMPLETE:
        return float(trial.values[0])
    if trial.state in SCORED and finished_trial(trial).scores:
        return finished_trial(trial).mean
    return None


def in_memory(name: str, slots: Slots, objective: Sequence[str]) -> optuna.Study:
    """A copy of a study for Optuna's own tools: the trials that count, numbered by slot."""
    with quiet():
        copied = optuna.create_study(study_name=name, directions=directions_of(objective))
        for trial in slots:
            if trial is None or trial.state != TrialState.COMPLETE:
                # holds the place of its slot
                copied.add_trial(optuna.create_trial(state=TrialState.FAIL))
            else:
                copied.add_trial(
                    optuna.create_trial(
                        params=trial.params,
                        distributions=trial.distributions,
                        values=trial.values[: len(objective)],
                    )
                )
    return copied
