"""One strategy's study in a database that several launchers may share.

Every trial is an ordinary set of runs, made or found in the store.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from discl.config.experiment import Experiment
from discl.config.sweep import SweepFile
from discl.core.conventions import VAL
from discl.core.errors import UserError
from discl.core.interfaces import NOT_READY, NotReady
from discl.core.result import Result
from discl.harness.sweep.planned_run import BUSY_PAUSE_SECONDS, Outcome, PlannedRun
from discl.harness.tuning.definition import StudyDefinition
from discl.harness.tuning.history import DEFINITION
from discl.harness.tuning.proposals import (
    STOPPED,
    STOPPED_EARLY,
    FinishedTrial,
    SamplerSettings,
    best_of,
    directions_of,
    estimates,
    finished_trial,
    lower_is_better,
    propose,
    quiet,
    sampler_name,
)
from discl.harness.tuning.pruning import MedianStopping, is_clearly_worse
from discl.harness.tuning.slots import DUPLICATE_OF, RUNS, SCORED, SLOT, Slots, slots_of, winner_of
from discl.harness.tuning.space import Params, distributions
from discl.harness.tuning.storage.database import (
    FAILURE,
    MAX_RESTARTS,
    study_lock,
    with_retries,
)
from discl.harness.tuning.storage.heartbeat import Heartbeat, claim, finish, requeue_dead

DEAD_CHECK_SECONDS = 5.0  # between two checks for trials whose launcher died


@dataclass
class OpenTrial:
    """A trial of this launcher that is under way.

    Its replicates are run one after the other, so that it can be given up between them.
    """

    trial: FrozenTrial
    busy: bool = False
    not_before: float = 0.0  # when to ask again for a run that another process makes
    attempts: int = 0  # of the current replicate, that failed

    @property
    def slot(self) -> int:
        return int(self.trial.user_attrs[SLOT])

    @property
    def replicate(self) -> int:
        """The number of the replicate that is due."""
        return len(self.trial.intermediate_values)


class StrategyStudy:
    """The search of one strategy on one rung."""

    def __init__(
        self,
        sweep: SweepFile,
        strategy: str,
        rung: int,
        storage: RDBStorage,
        first: Sequence[Mapping[str, Any]],
    ) -> None:
        self.definition = StudyDefinition(sweep, strategy, rung, first)
        self.tune = self.definition.tune
        self.name = self.definition.name
        self.objective = self.definition.objective
        self.storage = storage
        self.open: dict[int, OpenTrial] = {}  # by number of the trial
        self._checked_for_dead = -DEAD_CHECK_SECONDS
        with study_lock(storage, self.name):
            self.study, self.sampler = with_retries(storage, self._opened)

    def _opened(self) -> tuple[optuna.Study, str]:
        """The Optuna study and its sampler, which stays the one it was begun with."""
        agreement = self.definition.agreement()
        sampler = sampler_name(self.tune)
        with quiet():
            study = optuna.create_study(
                study_name=self.name,
                storage=self.storage,
                directions=directions_of(self.objective),
                load_if_exists=True,
            )
        existing = study.user_attrs.get(DEFINITION)
        if existing is None:
            study.set_user_attr(DEFINITION, {**agreement, "sampler": sampler})
            return study, sampler
        existing = {"epoch": VAL.name, **existing}  # as all were judged before runs kept both
        differing = [
            key
            for key in {**existing, **agreement}
            if key != "sampler" and existing.get(key) != agreement.get(key)
        ]
        if differing:
            key = differing[0]
            before = existing.get(key, "nothing")
            now = agreement.get(key, "nothing")
            more = f" (and {len(differing) - 1} more differences)" if len(differing) > 1 else ""
            raise UserError(
                f"the study {self.name!r} exists with another {key}:"
                f" {before} there, {now} here{more}; go on with what it was begun with, or name a"
                " new one by --as NAME"
            )
        return study, str(existing["sampler"])

    # ------------------------------------------------------------ what it holds

    def slots(self) -> list[FrozenTrial | None]:
        """The trial that counts for each slot."""
        return slots_of(with_retries(self.storage, lambda: self.study.get_trials(deepcopy=False)))

    def finished(self, slots: Slots) -> list[FinishedTrial]:
        """The trials with scores that are over, in slot order."""
        lower = lower_is_better(self.objective[0])
        trials = [
            finished_trial(trial, lower) for trial in slots if trial and trial.state in SCORED
        ]
        return [trial for trial in trials if trial.scores]

    def winner(self) -> FrozenTrial | None:
        """The best complete trial; the earlier of equals."""
        return winner_of(self.slots(), self.objective)

    def best(self, count: int) -> list[dict[str, Any]]:
        """Settings of the best complete trials."""
        complete = [trial for trial in self.finished(self.slots()) if trial.complete]
        return [dict(complete[index].params) for index in best_of(complete)[:count]]

    # ------------------------------------------------------------ what to run next

    def next(self, heartbeat: Heartbeat) -> PlannedRun | NotReady | None:
        """A run of a trial under way, of one that waits, or of a new round.

        NOT_READY while others are at work; None at the end.
        """
        for ours in list(self.open.values()):
            if not ours.busy and ours.not_before <= time.monotonic():
                planned = self._next_replicate(ours, heartbeat)
                if planned:
                    return planned
        self._requeue_dead(heartbeat)
        with study_lock(self.storage, self.name):
            slots = self.slots()
            if self._round_is_due(slots):
                self._propose_round(slots)
                slots = self.slots()
        while claimed := claim(self.study, heartbeat):
            planned = self._begin(claimed, slots, heartbeat)
            if planned:
                return planned
            slots = self.slots()
        return None if self._complete(slots) else NOT_READY

    def _begin(self, claimed: FrozenTrial, slots: Slots, heartbeat: Heartbeat) -> PlannedRun | None:
        """The first run of a claimed trial; None where it is over already."""
        ours = OpenTrial(claimed)
        self.open[claimed.number] = ours
        counts = slots[ours.slot] if ours.slot < len(slots) else None
        if counts is None or counts.number != claimed.number:
            # the slots were read before, or the trial is a duplicate
            counts = self.slots()[ours.slot]
        if counts and counts.number != claimed.number:
            # a connection dropped between adding it and the answer
            self._note(ours, {DUPLICATE_OF: counts.number})
            self._end(ours, heartbeat, failure=f"a twin of trial {counts.number}")
            return None
        # a launcher may have died between the last replicate and the end
        return None if self._ended(ours, heartbeat) else self._next_replicate(ours, heartbeat)

    def _next_replicate(self, ours: OpenTrial, heartbeat: Heartbeat) -> PlannedRun | None:
        """The next run of a trial; None where its settings clash, which ends the trial."""
        replicate = self.definition.replicates[ours.replicate]
        try:
            (point,) = self.definition.points(ours.trial.params, [replicate])
        except UserError as error:
            self._end(ours, heartbeat, failure=str(error))
            return None
        ours.busy = True
        return PlannedRun(
            point.experiment,
            group=self.name,
            label=(
                f"{self.definition.strategy} trial {ours.slot},"
                f" {replicate.benchmark} {replicate.seed}"
            ),
            stop=self._stopping(ours, point.experiment),
            tag=(self.definition.strategy, self.definition.rung, ours.trial.number),
            trial=ours.slot,
        )

    def _stopping(self, ours: OpenTrial, experiment: Experiment) -> MedianStopping | None:
        """Stops the run early, by curves of the same replicate in trials of earlier rounds."""
        if not self.tune.patience:
            return None
        begin, _ = self.definition.round_of(ours.slot)
        curves = []
        for trial in self.slots()[:begin]:
            run = trial.user_attrs.get(RUNS, {}).get(str(ours.replicate)) if trial else None
            if run and run["curve"]:
                curves.append(tuple((int(epoch), float(value)) for epoch, value in run["curve"]))
        return MedianStopping(
            self.objective[0],
            experiment.benchmark.train.curriculum_epochs,
            self.tune.patience,
            tuple(curves),
        )

    def _requeue_dead(self, heartbeat: Heartbeat) -> None:
        if self._checked_for_dead + DEAD_CHECK_SECONDS < time.monotonic():
            requeue_dead(self.study, heartbeat)
            self._checked_for_dead = time.monotonic()

    # ------------------------------------------------------------ rounds

    def _complete(self, slots: Slots) -> bool:
        return len(slots) >= self.definition.budget and _all_over(slots)

    def _round_is_due(self, slots: Slots) -> bool:
        """Whether a round is to be opened, or was left incomplete by a kill."""
        _, end = self.definition.round_of(max(0, len(slots) - 1))
        if None in slots or len(slots) < end:
            return True
        return len(slots) < self.definition.budget and _all_over(slots)

    def _propose_round(self, slots: Slots) -> None:
        """Queue the trials of the round that are not there yet."""
        begin, end = self.definition.round_of(max(0, len(slots) - 1))
        if None not in slots and len(slots) == end:
            begin, end = self.definition.round_of(end)
        earlier = slots[:begin]
        finished = self.finished(earlier)
        failed = [trial.params for trial in earlier if trial and trial.state not in SCORED]
        same_round: list[Params] = []
        for slot in range(begin, end):
            queued = slots[slot] if slot < len(slots) else None
            if queued:
                same_round.append(queued.params)
            else:
                params = self._proposal(slot, finished, same_round, failed)
                self._queue(params, slot)
                same_round.append(params)

    def _proposal(
        self,
        slot: int,
        finished: Sequence[FinishedTrial],
        same_round: Sequence[Params],
        failed: Sequence[Params],
    ) -> dict[str, Any]:
        if slot < len(self.definition.first):
            return self.definition.first[slot]
        sampler = SamplerSettings(
            self.sampler, self.tune.startup, self.tune.seed, directions_of(self.objective)
        )
        return propose(self.definition.space, sampler, slot, finished, same_round, failed)

    def _queue(self, params: Params, slot: int) -> None:
        trial = optuna.create_trial(
            state=TrialState.WAITING,
            params=dict(params),
            distributions=distributions(self.definition.space),
            user_attrs={SLOT: slot},
        )

        def add() -> None:
            for other in self.study.get_trials(deepcopy=False):
                if other.user_attrs.get(SLOT) == slot and other.state != TrialState.FAIL:
                    return
            self.study.add_trial(trial)

        with_retries(self.storage, add)

    def retry_failed(self) -> None:
        """Queue again the trials that failed for a reason of their own at an earlier launch."""
        with study_lock(self.storage, self.name):
            for trial in self.slots():
                if trial and FAILURE in trial.user_attrs:
                    self._queue(trial.params, int(trial.user_attrs[SLOT]))

    # ------------------------------------------------------------ outcomes

    def take(self, number: int, outcome: Outcome, heartbeat: Heartbeat, retry: int) -> None:
        """Record the outcome of a replicate of one of our trials.

        Where this launcher was taken for dead, another trial stands in its place and finds the run
        stored.
        """
        ours = self.open[number]
        try:
            self._record(ours, outcome, heartbeat, retry)
        except UpdateFinishedTrialError:
            heartbeat.remove(self.open.pop(number).trial)

    def _record(self, ours: OpenTrial, outcome: Outcome, heartbeat: Heartbeat, retry: int) -> None:
        ours.busy = False
        if outcome.failure and outcome.failure.kind == "stopped":
            self._stopped_early(ours, outcome, heartbeat)
        elif outcome.failure and outcome.failure.kind != "disk":
            ours.attempts += 1
            if ours.attempts > retry:
                self._note(ours, {"peak_bytes": outcome.failure.peak_bytes})
                self._end(ours, heartbeat, failure=outcome.failure.why)
        elif outcome.result is None:
            ours.not_before = time.monotonic() + BUSY_PAUSE_SECONDS
        else:
            self._score(ours, outcome, outcome.result, heartbeat)

    def _score(
        self, ours: OpenTrial, outcome: Outcome, result: Result, heartbeat: Heartbeat
    ) -> None:
        try:
            judged = result.under(self.definition.epoch)
        except UserError as error:
            self._end(ours, heartbeat, failure=str(error))
            return
        measured = {**judged.metrics, **outcome.costs}
        values = [measured.get(key, math.nan) for key in self.objective]
        if not all(math.isfinite(value) for value in values):
            usable = sorted(key for key in measured if key.startswith(("val/", "cost/")))
            self._end(
                ours,
                heartbeat,
                failure=(
                    f"objective {self.objective} is {values} for {result.name}; measured are"
                    f" {', '.join(usable)}"
                ),
            )
            return
        replicate = ours.replicate
        run = {"curve": outcome.curve, "costs": values[1:], "seconds": outcome.seconds}
        self._note(ours, {RUNS: {**ours.trial.user_attrs.get(RUNS, {}), str(replicate): run}})
        ours.trial.intermediate_values[replicate] = values[0]
        with_retries(
            self.storage,
            lambda: self.storage.set_trial_intermediate_value(
                ours.trial._trial_id, replicate, values[0]
            ),
        )
        self._ended(ours, heartbeat)

    def _stopped_early(self, ours: OpenTrial, outcome: Outcome, heartbeat: Heartbeat) -> None:
        """A run was stopped early, so the trial is over.

        The value it had reached is a low estimate of what it would have scored.
        """
        epoch, value = outcome.curve[-1]
        replicate = ours.replicate
        stopped = {"replicate": replicate, "epoch": epoch, "value": value}
        # in this order: a launcher that dies in between leaves the attribute that ends the trial
        self._note(ours, {STOPPED_EARLY: stopped, STOPPED: replicate})
        self._ended(ours, heartbeat)

    def _ended(self, ours: OpenTrial, heartbeat: Heartbeat) -> bool:
        """End a trial that has all its replicates or is given up; whether it has ended."""
        attributes = ours.trial.user_attrs
        if STOPPED_EARLY in attributes:
            self._end(ours, heartbeat, pruned=True)
        elif ours.replicate == len(self.definition.replicates):
            self._end(ours, heartbeat, self._values(ours, complete=True))
        elif STOPPED in attributes or self._is_clearly_worse(ours):
            self._note(ours, {STOPPED: ours.replicate})
            self._end(ours, heartbeat, self._values(ours, complete=False))
        return ours.trial.number not in self.open

    def _is_clearly_worse(self, ours: OpenTrial) -> bool:
        if len(self.objective) > 1 or ours.replicate < self.tune.prune_after:
            return False
        return is_clearly_worse(self.tune, self._earlier(ours), ours.trial.intermediate_values)

    def _earlier(self, ours: OpenTrial) -> list[FinishedTrial]:
        """Finished trials of earlier rounds: with others the answer would depend on speed."""
        begin, _ = self.definition.round_of(ours.slot)
        return self.finished(self.slots()[:begin])

    def _values(self, ours: OpenTrial, complete: bool) -> list[float]:
        """The objectives of a trial: the first one's mean or estimate, and the mean costs."""
        trial = FinishedTrial(
            ours.trial.params,
            ours.trial.intermediate_values,
            complete,
            lower_is_better=lower_is_better(self.objective[0]),
        )
        earlier = [] if complete else self._earlier(ours)
        costs = [run["costs"] for run in ours.trial.user_attrs[RUNS].values()]
        return [estimates([*earlier, trial])[-1], *np.mean(costs, axis=0).tolist()]

    def _end(
        self,
        ours: OpenTrial,
        heartbeat: Heartbeat,
        values: list[float] | None = None,
        pruned: bool = False,
        failure: str | None = None,
    ) -> None:
        with quiet():
            finish(self.study, heartbeat, ours.trial, values, pruned=pruned, failure=failure)
        del self.open[ours.trial.number]

    def _note(self, ours: OpenTrial, attributes: Mapping[str, Any]) -> None:
        """Set attributes of a trial, in their order."""
        ours.trial.user_attrs.update(attributes)
        for key, value in attributes.items():
            with_retries(
                self.storage,
                partial(self.storage.set_trial_user_attr, ours.trial._trial_id, key, value),
            )

    def release(self) -> None:
        """Fail the trials under way without a reason: the next launch takes them at once."""
        for ours in self.open.values():
            fail = partial(
                self.storage.set_trial_state_values, ours.trial._trial_id, TrialState.FAIL
            )
            with suppress(UserError, UpdateFinishedTrialError):
                with_retries(self.storage, fail, 5.0)
        self.open.clear()


def _all_over(slots: Slots) -> bool:
    return all(trial and _over(trial) for trial in slots)


def _over(trial: FrozenTrial) -> bool:
    """Whether no launcher will go on with it.

    One that died with its launcher has no reason, and is queued again `MAX_RESTARTS` times.
    """
    if trial.state in SCORED or FAILURE in trial.user_attrs:
        return True
    return len(trial.system_attrs.get("retry_history", ())) >= MAX_RESTARTS
