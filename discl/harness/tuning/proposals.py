"""Which settings a study tries next: a pure function of its seed and of the trials before.

Trials are proposed in rounds. Those of a round depend on the rounds before it, taken in the order
of their slots, and on the slots before them in their own round; not on which finished first, nor
on how often a launcher was killed. For each proposal an in-memory Optuna study is given those
trials and asked. The samplers are Optuna's.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from discl.config.sweep import COSTS, Dimension, TuneTable
from discl.core.hashing import canonical_json, seed_of
from discl.core.metric_names import higher_is_better
from discl.harness.tuning.space import Params, distributions, rounded_value, settings_at

# attributes of a trial in the database
STOPPED = "stopped_after"  # it was given up: the replicates it has
STOPPED_EARLY = "stopped_early"  # it was given up within a run: where, and the value reached

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that is over: its settings, and its objective on each replicate that was made."""

    params: Params
    scores: Mapping[int, float]  # replicate -> the first objective
    complete: bool  # no replicate is missing
    cost: float | None = None  # the second objective, where there is one
    lower_is_better: bool = False  # of the first objective

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.scores.values())))

    @property
    def merit(self) -> float:
        """The mean, turned so that higher is better."""
        return -self.mean if self.lower_is_better else self.mean


def lower_is_better(objective: str) -> bool:
    """Whether lower values of an objective are better: of a cost, and of a metric that says so."""
    return objective in COSTS or not higher_is_better(objective)


def directions_of(objective: Sequence[str]) -> list[Direction]:
    """Optuna's direction of each objective."""
    return ["minimize" if lower_is_better(name) else "maximize" for name in objective]


def finished_trial(trial: FrozenTrial, lower_is_better: bool = False) -> FinishedTrial:
    """A trial of the database that is over."""
    scores = dict(trial.intermediate_values)
    if stopped := trial.user_attrs.get(STOPPED_EARLY):
        scores[int(stopped["replicate"])] = float(stopped["value"])
    return FinishedTrial(
        params=trial.params,
        scores=scores,
        complete=trial.state == TrialState.COMPLETE and STOPPED not in trial.user_attrs,
        cost=trial.values[1] if trial.values and len(trial.values) > 1 else None,
        lower_is_better=lower_is_better,
    )


def best_of(trials: Sequence[FinishedTrial]) -> list[int]:
    """Indices of the complete trials, best first; equal ones in their order."""
    complete = [index for index, trial in enumerate(trials) if trial.complete]
    return sorted(complete, key=lambda index: (-trials[index].merit, index))


def estimates(trials: Sequence[FinishedTrial]) -> list[float]:
    """The mean that each trial would have on all replicates.

    That of a trial given up is its paired distance to the best complete one: its own mean would
    say how hard the replicates were that it happened to have.
    """
    best = max(
        (trial for trial in trials if trial.complete), key=lambda trial: trial.merit, default=None
    )
    return [
        trial.mean if trial.complete or best is None else _estimate(trial, best) for trial in trials
    ]


def _estimate(trial: FinishedTrial, best: FinishedTrial) -> float:
    differences = [score - best.scores[replicate] for replicate, score in trial.scores.items()]
    return best.mean + float(np.mean(differences))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna inside.

    It warns that some pruners and storages are experimental, and that trials outside its own loop
    have no heartbeat.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


# ---------------------------------------------------------------- samplers


class SamplerSettings(NamedTuple):
    """A sampler, and how it is set up."""

    sampler: str  # a name in `SAMPLERS`
    startup: int  # trials drawn at random before the sampler learns
    seed: int
    directions: Sequence[Direction] = ("maximize",)  # of each objective, as Optuna calls them


def sampler_name(tune: TuneTable) -> str:
    """The sampler of a study.

    Gaussian processes need the fewest trials, and time that grows with their cube.
    """
    if tune.sampler != "auto":
        return tune.sampler
    return "gp" if tune.trials <= 60 else "tpe"


def _gp(seed: int, startup: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.GPSampler(
        seed=seed,
        n_startup_trials=startup,
        deterministic_objective=False,
        warn_independent_sampling=False,
    )


def _tpe(seed: int, startup: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup)


def _random(seed: int, startup: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


SAMPLERS = {"gp": _gp, "tpe": _tpe, "random": _random}


# ---------------------------------------------------------------- proposals


def round_of(slot: int, opening: int, size: int, trials: int) -> tuple[int, int]:
    """Where the round of a slot begins and ends.

    The `opening` trials that are known beforehand are a round of their own: the first thing that is
    learned is what there is to beat.
    """
    if slot < opening:
        return 0, min(opening, trials)
    begin = opening + (slot - opening) // size * size
    return begin, min(begin + size, trials)


def propose(
    space: Mapping[str, Dimension],
    sampler: SamplerSettings,
    slot: int,
    finished: Sequence[FinishedTrial],
    same_round: Sequence[Params],
    failed: Sequence[Params] = (),
) -> dict[str, Any]:
    """Settings for a slot.

    `finished` are the trials of earlier rounds in slot order, `same_round` the proposals before it
    in its own round. The proposal is none of those, nor of the `failed` ones, as long as there are
    others: equal settings give equal runs.
    """
    seed = seed_of("sampler", sampler.seed, slot)
    taken = {_key(trial.params) for trial in finished}
    taken |= {_key(params) for params in (*same_round, *failed)}
    proposed = _ask(space, sampler, seed, finished, same_round)
    if _key(proposed) not in taken:
        return proposed
    return _untaken(space, seed, taken) or proposed


def _ask(
    space: Mapping[str, Dimension],
    sampler: SamplerSettings,
    seed: int,
    finished: Sequence[FinishedTrial],
    same_round: Sequence[Params],
) -> dict[str, Any]:
    """The proposal of Optuna's sampler after these trials."""
    known = distributions(space)
    with quiet():
        study = optuna.create_study(
            directions=list(sampler.directions),
            sampler=SAMPLERS[sampler.sampler](seed % 2**32, sampler.startup),
        )
        for trial, value in zip(finished, estimates(finished), strict=True):
            values = [value] if trial.cost is None else [value, trial.cost]
            study.add_trial(
                optuna.create_trial(params=dict(trial.params), distributions=known, values=values)
            )
        for params in same_round:
            study.add_trial(
                optuna.create_trial(
                    state=TrialState.RUNNING, params=dict(params), distributions=known
                )
            )
        asked = study.ask(known)
    return {path: rounded_value(space[path], value) for path, value in asked.params.items()}


def _untaken(space: Mapping[str, Dimension], seed: int, taken: Set[str]) -> dict[str, Any] | None:
    """Settings that are not taken; None where all are.

    Drawn at random, or the next in order where the settings can be counted.
    """
    count = math.prod(dimension.count for dimension in space.values())
    if math.isinf(count):
        return _ask(space, SamplerSettings("random", 0, 0), seed_of("another", seed), [], [])
    for step in range(int(count)):
        params = settings_at(space, (seed + step) % int(count))
        if _key(params) not in taken:
            return params
    return None


def _key(params: Params) -> str:
    return canonical_json(params)
