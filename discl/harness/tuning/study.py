"""Tunes the schedule: a study for each strategy, all with the same budget; every trial is an
ordinary, cached set of runs.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from discl.config import sweep as files
from discl.config.benchmark import Experiment
from discl.config.sweep import Point, SweepFile
from discl.core.errors import UserError
from discl.core.hashing import canonical
from discl.core.interfaces import NOT_READY, NotReady
from discl.core.result import Result
from discl.harness.sweep.scheduler import PAUSE_S, Outcome, PlannedRun
from discl.harness.tuning.history import RUNS, SAID, SCORED, SLOT, TWIN, slots_of, winner_of
from discl.harness.tuning.proposals import (
    DIRECTIONS,
    STOPPED,
    STOPPED_EARLY,
    FinishedTrial,
    MedianStopping,
    Params,
    SamplerSettings,
    best_of,
    distributions,
    estimates,
    frozen,
    is_clearly_worse,
    propose,
    quiet,
    round_of,
    sampler_name,
    settings,
    stored,
)
from discl.harness.tuning.storage import (
    FAILURE,
    LIVES,
    Heartbeat,
    claim,
    finish,
    requeue_dead,
    study_lock,
    with_retries,
)

DEAD_CHECK_SECONDS = 5.0  # between two looks for trials whose launcher died


class Replicate(NamedTuple):
    """A replicate: every trial is judged on each."""

    benchmark: str
    seed: int


@dataclass
class Open:
    """A trial of ours that is under way; one replicate at a time, so that it can be given up
    between them.
    """

    trial: FrozenTrial
    busy: bool = False
    not_before: float = 0.0  # when somebody else makes the run
    tries: int = 0


class StrategyStudy:
    """The search of one strategy on one rung, in a database that others may share."""

    def __init__(
        self,
        found: SweepFile,
        strategy: str,
        rung: int,
        storage: RDBStorage,
        first: Sequence[Mapping[str, Any]],
    ) -> None:
        assert found.tune is not None  # noqa: S101 - a file with a space has it
        self.found = found
        self.strategy = strategy
        self.rung = rung
        self.said = found.tune
        self.storage = storage
        self.name = "/".join(
            [
                found.name,
                found.benchmark,
                found.scale,
                strategy,
                *([f"rung {rung}"] if found.tune.ladder else []),
            ]
        )
        self.space = files.space_of(found, strategy)
        self.budget = files.budget(found, strategy)
        self.units = [
            Replicate(name, seed)
            for seed in self.said.seeds
            for name in (found.benchmark, *self.said.also)
        ]
        self.default = self._points({}, self.units[:1])[0].experiment
        self.objective = self.said.objective or [self.default.benchmark.select.metric]
        self.first = [dict(params) for params in first] or [
            params for params in [self.own()] if params is not None
        ]
        self.open: dict[int, Open] = {}  # by number
        self.looked_for_dead_at = -DEAD_CHECK_SECONDS
        with study_lock(storage, self.name):
            self.study, self.sampler = with_retries(storage, self._opened)

    # -- what it is

    def own(self) -> dict[str, Any] | None:
        """The benchmark's own setting, if the space has it: the first trial, so that tuning never
        ends below it on val.
        """
        own = files.own(self.found, self.default.benchmark, self.strategy)
        return None if own is None else stored(own)

    def described(self) -> dict[str, Any]:
        """What two launches must agree on to work at one study. The budget may grow."""
        tune = self.said.model_dump(exclude={"trials", "ladder", "objective", "sampler"})
        plain: dict[str, Any] = canonical(
            {
                "benchmark": self.found.benchmark,
                "scale": self.found.scale,
                "objective": self.objective,
            }
            | {
                f"space {path}": dimension.model_dump(exclude_defaults=True)
                for path, dimension in self.space.items()
            }
            | {f"set {path}": value for path, value in self.found.set.items()}
            | {f"tune.{key}": value for key, value in tune.items()}
        )
        return plain

    def _opened(self) -> tuple[optuna.Study, str]:
        """The study and its sampler, which stays what it was begun with."""
        described = self.described()
        sampler = sampler_name(self.said)
        with quiet():
            study = optuna.create_study(
                study_name=self.name,
                storage=self.storage,
                directions=DIRECTIONS[: len(self.objective)],
                load_if_exists=True,
            )
        there = study.user_attrs.get(SAID)
        if there is None:
            study.set_user_attr(SAID, {**described, "sampler": sampler})
            return study, sampler
        if differing := [
            key
            for key in {**there, **described}
            if key != "sampler" and there.get(key) != described.get(key)
        ]:
            more = f" (and {len(differing) - 1} more differences)" if len(differing) > 1 else ""
            before, now = (said.get(differing[0], "nothing") for said in (there, described))
            raise UserError(
                f"the study {self.name!r} exists with another {differing[0]}: {before} there, {now}"
                f" here{more}; go on with what it was begun with, or name a new one by --as NAME"
            )
        return study, str(there["sampler"])

    def points(self, params: Mapping[str, Any], seeds: Sequence[int]) -> list[Point]:
        """Runs of these settings on the sweep's own benchmark."""
        return self._points(params, [Replicate(self.found.benchmark, seed) for seed in seeds])

    def _points(self, params: Mapping[str, Any], units: Sequence[Replicate]) -> list[Point]:
        return list(
            files.points(
                self.found,
                [
                    {"strategy": self.strategy, **settings(params), **unit._asdict()}
                    for unit in units
                ],
            )
        )

    # -- what there is

    def slots(self) -> list[FrozenTrial | None]:
        """The trial that counts for each slot."""
        return slots_of(with_retries(self.storage, lambda: self.study.get_trials(deepcopy=False)))

    def tried(self, slots: Sequence[FrozenTrial | None]) -> list[FinishedTrial]:
        """What came of the trials that are over, in slot order."""
        return [
            frozen(trial)
            for trial in slots
            if trial and trial.state in SCORED and frozen(trial).scores
        ]

    # -- what to do

    def next(self, heartbeat: Heartbeat) -> PlannedRun | NotReady | None:
        """A run of one of our trials, or of one that waits, or of a new round; NOT_READY while others
        are at work; None at the end.
        """
        for ours in list(self.open.values()):
            if (
                not ours.busy
                and ours.not_before <= time.monotonic()
                and (job := self._given(ours, heartbeat))
            ):
                return job
        self._requeue_dead(heartbeat)
        with study_lock(self.storage, self.name):
            slots = self.slots()
            if self._missing(slots):
                self._propose(slots)
                slots = self.slots()
        while taken := claim(self.study, heartbeat):
            if job := self._begun(taken, slots, heartbeat):
                return job
            slots = self.slots()
        return None if self._complete(slots) else NOT_READY

    def _begun(
        self, taken: FrozenTrial, slots: Sequence[FrozenTrial | None], heartbeat: Heartbeat
    ) -> PlannedRun | None:
        """The first run of a trial that is ours now; None where it is over already."""
        ours = Open(taken)
        slot = int(taken.user_attrs[SLOT])
        self.open[taken.number] = ours
        counts = slots[slot] if slot < len(slots) else None
        if (
            counts is None or counts.number != taken.number
        ):  # what we saw is old, or it is one too many
            counts = self.slots()[slot]
        if (
            counts and counts.number != taken.number
        ):  # a connection dropped between adding it and the answer
            self._note(ours, {TWIN: counts.number})
            self._end(ours, heartbeat, failure=f"a twin of trial {counts.number}")
            return None
        # a launcher may have died between the last replicate and the end
        return None if self._judged(ours, heartbeat) else self._given(ours, heartbeat)

    def _given(self, ours: Open, heartbeat: Heartbeat) -> PlannedRun | None:
        """The next run of a trial; None where its settings do not go together, which ends it."""
        try:
            (point,) = self._points(
                ours.trial.params, [self.units[len(ours.trial.intermediate_values)]]
            )
        except UserError as error:
            self._end(ours, heartbeat, failure=str(error))
            return None
        return self._job(ours, point.experiment)

    def _requeue_dead(self, heartbeat: Heartbeat) -> None:
        if self.looked_for_dead_at + DEAD_CHECK_SECONDS < time.monotonic():
            requeue_dead(self.study, heartbeat)
            self.looked_for_dead_at = time.monotonic()

    def _complete(self, slots: Sequence[FrozenTrial | None]) -> bool:
        return len(slots) >= self.budget and all(trial and _over(trial) for trial in slots)

    def _missing(self, slots: Sequence[FrozenTrial | None]) -> bool:
        """Whether a round is to be opened, or was left half open by a kill."""
        if None in slots or len(slots) < self._round(max(0, len(slots) - 1))[1]:
            return True
        return len(slots) < self.budget and all(trial and _over(trial) for trial in slots)

    def _round(self, slot: int) -> tuple[int, int]:
        """Where the round of a slot begins and ends."""
        return round_of(slot, min(len(self.first), self.budget), self.said.round, self.budget)

    def _propose(self, slots: Sequence[FrozenTrial | None]) -> None:
        """Put the trials of the round into the queue that are not there yet."""
        begin, end = self._round(max(0, len(slots) - 1))
        if None not in slots and len(slots) == end:
            begin, end = self._round(end)
        tried = self.tried(slots[:begin])
        beside = list[Params]()
        failed = [trial.params for trial in slots[:begin] if trial and trial.state not in SCORED]
        for slot in range(begin, end):
            there = slots[slot] if slot < len(slots) else None
            params = there.params if there else self._proposed(slot, tried, beside, failed)
            if there is None:
                self._queue(params, slot)
            beside.append(params)

    def _proposed(
        self,
        slot: int,
        tried: Sequence[FinishedTrial],
        beside: Sequence[Params],
        failed: Sequence[Params],
    ) -> dict[str, Any]:
        if slot < len(self.first):
            return self.first[slot]
        how = SamplerSettings(self.sampler, self.said.startup, self.said.seed, len(self.objective))
        return propose(self.space, how, slot, tried, beside, failed)

    def _queue(self, params: Mapping[str, Any], slot: int) -> None:
        trial = optuna.create_trial(
            state=TrialState.WAITING,
            params=dict(params),
            distributions=distributions(self.space),
            user_attrs={SLOT: slot},
        )

        def add() -> None:
            there = self.study.get_trials(deepcopy=False)
            if not any(
                other.user_attrs.get(SLOT) == slot and other.state != TrialState.FAIL
                for other in there
            ):
                self.study.add_trial(trial)

        with_retries(self.storage, add)

    def _job(self, ours: Open, experiment: Experiment) -> PlannedRun:
        ours.busy = True
        unit = len(ours.trial.intermediate_values)
        label = (
            f"{self.strategy} trial {ours.trial.user_attrs[SLOT]},"
            f" {' '.join(map(str, self.units[unit]))}"
        )
        stop = self._stop(ours, unit, experiment)
        tag = (self.strategy, self.rung, ours.trial.number)
        return PlannedRun(experiment, self.name, label, stop, tag, int(ours.trial.user_attrs[SLOT]))

    def _stop(self, ours: Open, unit: int, experiment: Experiment) -> MedianStopping | None:
        if not self.said.patience:
            return None
        slots = self.slots()
        (begin, _) = self._round(int(ours.trial.user_attrs[SLOT]))
        runs = [trial.user_attrs.get(RUNS, {}).get(str(unit)) for trial in slots[:begin] if trial]
        told = tuple(
            tuple((int(epoch), float(value)) for epoch, value in run["curve"])
            for run in runs
            if run and run["curve"]
        )
        return MedianStopping(
            self.objective[0],
            experiment.benchmark.train.curriculum_epochs,
            self.said.patience,
            told,
        )

    # -- what came

    def take(self, number: int, outcome: Outcome, heartbeat: Heartbeat, retry: int) -> None:
        """Book a replicate of one of our trials.

        Where we were taken for dead, another trial stands in its place, and finds the run stored.
        """
        try:
            self._booked(self.open[number], outcome, heartbeat, retry)
        except UpdateFinishedTrialError:
            heartbeat.remove(self.open.pop(number).trial)

    def _booked(self, ours: Open, outcome: Outcome, heartbeat: Heartbeat, retry: int) -> None:
        ours.busy = False
        if outcome.failure and outcome.failure.kind == "stopped":
            self._give_up(ours, outcome, heartbeat)
        elif outcome.failure and outcome.failure.kind != "disk":
            ours.tries += 1
            if ours.tries > retry:
                self._note(ours, {"peak_bytes": outcome.failure.peak_bytes})
                self._end(ours, heartbeat, failure=outcome.failure.why)
        elif outcome.result is None:
            ours.not_before = time.monotonic() + PAUSE_S
        else:
            self._score(ours, outcome, outcome.result, heartbeat)

    def _score(self, ours: Open, outcome: Outcome, result: Result, heartbeat: Heartbeat) -> None:
        measured = {**result.metrics, **outcome.costs}
        values = [measured.get(key, math.nan) for key in self.objective]
        if not all(math.isfinite(value) for value in values):
            there = ", ".join(sorted(key for key in measured if key.startswith(("val/", "cost/"))))
            self._end(
                ours,
                heartbeat,
                failure=(
                    f"objective {self.objective} is {values} for {result.name}; measured are"
                    f" {there}"
                ),
            )
            return
        unit = len(ours.trial.intermediate_values)
        run = {"curve": outcome.curve, "costs": values[1:], "seconds": outcome.seconds}
        self._note(ours, {RUNS: {**ours.trial.user_attrs.get(RUNS, {}), str(unit): run}})
        ours.trial.intermediate_values[unit] = values[0]
        with_retries(
            self.storage,
            lambda: self.storage.set_trial_intermediate_value(
                ours.trial._trial_id, unit, values[0]
            ),
        )
        self._judged(ours, heartbeat)

    def _judged(self, ours: Open, heartbeat: Heartbeat) -> bool:
        """End a trial that has all its replicates, or has shown that it need not have them."""
        scores, noted = ours.trial.intermediate_values, ours.trial.user_attrs
        if STOPPED_EARLY in noted:
            self._end(ours, heartbeat, pruned=True)
        elif len(scores) == len(self.units):
            self._end(ours, heartbeat, self._values(ours, complete=True))
        elif STOPPED in noted or self._is_clearly_worse(ours):
            self._note(ours, {STOPPED: len(scores)})
            self._end(ours, heartbeat, self._values(ours, complete=False))
        return ours.trial.number not in self.open

    def _is_clearly_worse(self, ours: Open) -> bool:
        scores = ours.trial.intermediate_values
        return (
            len(self.objective) == 1
            and len(scores) >= self.said.prune_after
            and is_clearly_worse(self.said, self._before(ours.trial), scores)
        )

    def _before(self, trial: FrozenTrial) -> list[FinishedTrial]:
        """Trials of earlier rounds: others would make the answer hang on who was faster."""
        return self.tried(self.slots()[: self._round(int(trial.user_attrs[SLOT]))[0]])

    def _values(self, ours: Open, complete: bool) -> list[float]:
        tried = FinishedTrial(ours.trial.params, ours.trial.intermediate_values, complete)
        costs = [run["costs"] for run in ours.trial.user_attrs[RUNS].values()]
        before = [] if complete else self._before(ours.trial)
        return [estimates([*before, tried])[-1], *np.mean(costs, axis=0).tolist()]

    def _give_up(self, ours: Open, outcome: Outcome, heartbeat: Heartbeat) -> None:
        """A run was cut short: what it had reached is a low estimate of what it would have, and the
        trial is over.
        """
        unit = len(ours.trial.intermediate_values)
        (epoch, reached) = outcome.curve[-1]
        # in this order: a launcher that dies in between leaves what says that it is over
        self._note(
            ours,
            {STOPPED_EARLY: {"replicate": unit, "epoch": epoch, "value": reached}, STOPPED: unit},
        )
        self._judged(ours, heartbeat)

    def _end(
        self,
        ours: Open,
        heartbeat: Heartbeat,
        values: list[float] | None = None,
        pruned: bool = False,
        failure: str | None = None,
    ) -> None:
        with quiet():
            finish(self.study, heartbeat, ours.trial, values, pruned=pruned, failure=failure)
        del self.open[ours.trial.number]

    def _note(self, ours: Open, noted: Mapping[str, Any]) -> None:
        ours.trial.user_attrs.update(noted)
        for key, value in noted.items():
            with_retries(
                self.storage,
                partial(self.storage.set_trial_user_attr, ours.trial._trial_id, key, value),
            )

    def leave(self) -> None:
        """Let go of trials under way: failed without a reason, so that the next launch need not
        wait until they are silent.
        """
        for ours in self.open.values():
            with suppress(UserError, UpdateFinishedTrialError):
                with_retries(
                    self.storage,
                    partial(
                        self.storage.set_trial_state_values, ours.trial._trial_id, TrialState.FAIL
                    ),
                    5.0,
                )
        self.open.clear()

    def retry_failed(self) -> None:
        """Put trials that failed for a reason of their own, at an earlier launch, back into the
        queue.
        """
        with study_lock(self.storage, self.name):
            for trial in self.slots():
                if trial and FAILURE in trial.user_attrs:
                    self._queue(trial.params, int(trial.user_attrs[SLOT]))

    def winner(self) -> FrozenTrial | None:
        """The best complete trial; the earlier of equals."""
        return winner_of(self.slots())

    def best(self, count: int) -> list[dict[str, Any]]:
        """Settings of the best complete trials."""
        tried = [each for each in self.tried(self.slots()) if each.complete]
        return [dict(tried[place].params) for place in best_of(tried)[:count]]


def _over(trial: FrozenTrial) -> bool:
    """Whether nobody will go on with it.

    One that died with its launcher has no reason, and is put into the queue again, so often.
    """
    return (
        trial.state in SCORED
        or FAILURE in trial.user_attrs
        or len(trial.system_attrs.get("retry_history", ())) >= LIVES
    )


class Tuner:
    """The agenda of a tuning sweep: the studies of all strategies, rung after rung, sharing the
    workers evenly.
    """

    def __init__(self, found: SweepFile, storage: RDBStorage, retry: int = 0) -> None:
        assert found.tune is not None  # noqa: S101 - a file with a space has it
        self.found = found
        self.storage = storage
        self.retry = retry
        self.keep = found.tune.keep
        self.rungs = files.rungs(found)
        self.strategies = files.strategies(found)
        self.at = dict.fromkeys(self.strategies, 0)
        self.studies = {
            (name, 0): StrategyStudy(self.rungs[0], name, 0, storage, [])
            for name in self.strategies
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
            study.leave()
        self.heartbeat.__exit__(*ended)

    @property
    def objective(self) -> str:
        return self.studies[self.strategies[0], 0].objective[0]

    def study(self, strategy: str) -> StrategyStudy:
        """The study of a strategy that is at work."""
        return self.studies[strategy, self.at[strategy]]

    def final(self, strategy: str) -> StrategyStudy | None:
        """The study of a strategy on the last rung."""
        return self.studies.get((strategy, len(self.rungs) - 1))

    def next(self) -> PlannedRun | NotReady | None:
        waiting = False
        for strategy in itertools.islice(self._turns, len(self.strategies)):
            found = self._next(strategy)
            if isinstance(found, PlannedRun):
                return found
            waiting = waiting or found is not None
        return NOT_READY if waiting else None

    def _next(self, strategy: str) -> PlannedRun | NotReady | None:
        found = self.study(strategy).next(self.heartbeat)
        while found is None and self.at[strategy] + 1 < len(self.rungs):
            best = self.study(strategy).best(self.keep)
            self.at[strategy] += 1
            rung = self.at[strategy]
            self.studies[strategy, rung] = StrategyStudy(
                self.rungs[rung], strategy, rung, self.storage, best
            )
            self.studies[strategy, rung].retry_failed()
            found = self.study(strategy).next(self.heartbeat)
        return found

    def take(self, job: PlannedRun, outcome: Outcome) -> None:
        strategy, rung, number = job.tag
        self.studies[strategy, rung].take(number, outcome, self.heartbeat, self.retry)
