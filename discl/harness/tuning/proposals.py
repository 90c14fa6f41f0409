"""What a study tries next: a pure function of its seed and of what has come out, whoever works on
it and however often it was killed.

Trials are proposed in rounds. Those of a round depend on the rounds before it, taken in the order
of their slots, and on the slots before them in their own round; not on who finished first. A fresh
study in memory is told all that, and asked. The samplers and pruners are Optuna's.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from discl.config.sweep import Dimension, TuneTable
from discl.core.hashing import canonical_json, seed_of
from discl.core.interfaces import EpochReport

Params = Mapping[str, Any]


@dataclass(frozen=True)
class FinishedTrial:
    """A trial that is over: its settings, and its objective on each replicate that was made."""

    params: Params
    scores: Mapping[int, float]  # replicate -> the first objective
    complete: bool  # no replicate is missing
    cost: float | None = None  # the second objective, where there is one

    @property
    def mean(self) -> float:
        return float(np.mean(list(self.scores.values())))


class SamplerSettings(NamedTuple):
    """What proposes: a name in `SAMPLERS`, the trials it draws blindly before it learns, its seed,
    and how many objectives there are.
    """

    sampler: str
    startup: int
    seed: int
    objectives: int


STOPPED = "stopped_after"  # the attribute of a trial that was given up: replicates it has
STOPPED_EARLY = (
    "stopped_early"  # and of one that was given up within a run: where, and what it had reached
)
DIRECTIONS: tuple[Literal["maximize", "minimize"], ...] = (
    "maximize",
    "minimize",
)  # of a val/ metric, and of a cost


@contextmanager
def quiet() -> Iterator[None]:
    """Optuna warns that some pruners and storages are experimental, and that trials without its own
    loop have no heartbeat.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


def distributions(space: Mapping[str, Dimension]) -> dict[str, BaseDistribution]:
    """The space as Optuna says it.

    Choices it cannot store as they are travel as JSON; see `settings`.
    """
    return {path: _KINDS[dimension.type](dimension) for path, dimension in space.items()}


_KINDS: Mapping[str, Callable[[Any], BaseDistribution]] = {
    "float": lambda said: FloatDistribution(said.low, said.high, log=said.log, step=said.step),
    "int": lambda said: IntDistribution(
        int(said.low), int(said.high), log=said.log, step=int(said.step or 1)
    ),
    "categorical": lambda said: CategoricalDistribution(
        [_storable(choice) for choice in said.choices]
    ),
}
_PLAIN = (bool, int, float, str, type(None))
_JSON = "json:"


def _storable(choice: Any) -> Any:
    plain = isinstance(choice, _PLAIN) and not (
        isinstance(choice, str) and choice.startswith(_JSON)
    )
    return choice if plain else _JSON + canonical_json(choice)


def settings(params: Params) -> dict[str, Any]:
    """Settings from what Optuna stored."""
    return {
        path: json.loads(value[len(_JSON) :])
        if isinstance(value, str) and value.startswith(_JSON)
        else value
        for path, value in params.items()
    }


def stored(values: Params) -> dict[str, Any]:
    """The other way round."""
    return {path: _storable(value) for path, value in values.items()}


def sampler_name(said: TuneTable) -> str:
    """Gaussian processes need the fewest trials, and time that grows with their cube."""
    return said.sampler if said.sampler != "auto" else ("gp" if said.trials <= 60 else "tpe")


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


def propose(
    space: Mapping[str, Dimension],
    how: SamplerSettings,
    slot: int,
    tried: Sequence[FinishedTrial],
    beside: Sequence[Params],
    failed: Sequence[Params] = (),
) -> dict[str, Any]:
    """Settings for a slot: `tried` are the trials of earlier rounds in slot order, `beside` the
    proposals before it in its own round.

    They are none of those, nor of the `failed` ones, as long as there are others: equal settings
    give equal runs.
    """
    seed = seed_of("sampler", how.seed, slot)
    taken = {_key(params) for params in (*(trial.params for trial in tried), *beside, *failed)}
    proposed = _asked(space, how, seed, tried, beside)
    return proposed if _key(proposed) not in taken else _another(space, seed, taken) or proposed


def _asked(
    space: Mapping[str, Dimension],
    how: SamplerSettings,
    seed: int,
    tried: Sequence[FinishedTrial],
    beside: Sequence[Params],
) -> dict[str, Any]:
    known = distributions(space)
    with quiet():
        study = optuna.create_study(
            directions=DIRECTIONS[: how.objectives],
            sampler=SAMPLERS[how.sampler](seed % 2**32, how.startup),
        )
        for trial, value in zip(tried, estimates(tried), strict=True):
            values = [value] if trial.cost is None else [value, trial.cost]
            study.add_trial(
                optuna.create_trial(params=dict(trial.params), distributions=known, values=values)
            )
        for params in beside:
            study.add_trial(
                optuna.create_trial(
                    state=TrialState.RUNNING, params=dict(params), distributions=known
                )
            )
        return {
            path: _rounded(space[path], value) for path, value in study.ask(known).params.items()
        }


def _rounded(dimension: Dimension, value: Any) -> Any:
    """A proposal in five digits: nobody needs more, and the last ones of seventeen differ between
    processors and versions.
    """
    if (
        not isinstance(value, float)
        or dimension.step
        or dimension.low is None
        or dimension.high is None
    ):
        return value
    return min(max(float(f"{value:.5g}"), dimension.low), dimension.high)


def round_of(slot: int, opening: int, size: int, trials: int) -> tuple[int, int]:
    """Where the round of a slot begins and ends.

    The `opening` trials that are known beforehand are a round of their own: the first thing that is
    learned is what there is to beat.
    """
    if slot < opening:
        return 0, min(opening, trials)
    begin = opening + (slot - opening) // size * size
    return begin, min(begin + size, trials)


def _another(space: Mapping[str, Dimension], seed: int, taken: Set[str]) -> dict[str, Any] | None:
    """Settings that are not taken; None where there are none.

    Drawn blindly, or where they can be counted the next in line.
    """
    count = math.prod(dimension.count for dimension in space.values())
    if math.isinf(count):
        return _asked(space, SamplerSettings("random", 0, 0, 1), seed_of("another", seed), [], [])
    line = (_at(space, (seed + step) % int(count)) for step in range(int(count)))
    return next((params for params in line if _key(params) not in taken), None)


def _at(space: Mapping[str, Dimension], place: int) -> dict[str, Any]:
    """The settings at a place, where all there are stand in line."""
    params = {}
    for path, dimension in space.items():
        place, mine = divmod(place, int(dimension.count))
        params[path] = dimension.at(mine)
    return stored(params)


def _key(params: Params) -> str:
    return canonical_json(params)


def estimates(tried: Sequence[FinishedTrial]) -> list[float]:
    """What each trial would have scored on all replicates.

    One that was given up is judged by its paired distance to the best complete one: its own mean
    would say how hard the replicates were that it happened to meet.
    """
    best = max(
        (trial for trial in tried if trial.complete), key=lambda trial: trial.mean, default=None
    )
    return [
        trial.mean if trial.complete or best is None else _beside(trial, best) for trial in tried
    ]


def _beside(trial: FinishedTrial, best: FinishedTrial) -> float:
    return best.mean + float(
        np.mean([score - best.scores[unit] for unit, score in trial.scores.items()])
    )


def is_clearly_worse(
    said: TuneTable, tried: Sequence[FinishedTrial], scores: Mapping[int, float]
) -> bool:
    """Whether a trial with these scores so far is worse than the best complete one, by Optuna's
    Wilcoxon pruner.
    """
    complete = [trial for trial in tried if trial.complete]
    if said.pruner == "none" or not complete or len(scores) < said.prune_after:
        return False
    with quiet():
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=said.p, n_startup_steps=said.prune_after)
        study = optuna.create_study(direction="maximize", pruner=pruner)
        for trial in complete:
            study.add_trial(
                optuna.create_trial(value=trial.mean, intermediate_values=dict(trial.scores))
            )
        now = study.ask()
        for unit, score in sorted(scores.items()):
            now.report(score, unit)
        return bool(now.should_prune())


@dataclass(frozen=True)
class MedianStopping:
    """Gives a run up whose val metric stays below the median of earlier trials' after the
    curriculum is over.

    Not before: a curriculum makes training harder or easier as it goes, so that slow starters are
    the point of it.
    """

    metric: str
    curriculum_epochs: int
    patience: int  # looks at val
    curves: tuple[
        tuple[tuple[int, float], ...], ...
    ]  # (epoch, value) of earlier trials on the same replicate

    def __call__(self, history: Sequence[EpochReport]) -> bool:
        looks = [
            (report.epoch, report.values[self.metric])
            for report in history
            if self.metric in report.values
        ]
        if not looks or looks[-1][0] != history[-1].epoch or not self.curves:
            return False
        with quiet():
            median = optuna.pruners.MedianPruner(
                n_startup_trials=1, n_warmup_steps=self.curriculum_epochs
            )
            study = optuna.create_study(
                direction="maximize",
                pruner=optuna.pruners.PatientPruner(median, patience=self.patience),
            )
            for curve in self.curves:
                study.add_trial(
                    optuna.create_trial(value=curve[-1][1], intermediate_values=dict(curve))
                )
            now = study.ask()
            for epoch, value in looks:
                now.report(value, epoch)
            return bool(now.should_prune())


def best_of(tried: Sequence[FinishedTrial]) -> list[int]:
    """Places of the complete trials, best first; equal ones in the order they were tried."""
    return sorted(
        (place for place, trial in enumerate(tried) if trial.complete),
        key=lambda place: (-tried[place].mean, place),
    )


def frozen(trial: FrozenTrial) -> FinishedTrial:
    """A trial of the database that is over."""
    cut = trial.user_attrs.get(STOPPED_EARLY)
    return FinishedTrial(
        params=trial.params,
        scores={
            **trial.intermediate_values,
            **({int(cut["replicate"]): float(cut["value"])} if cut else {}),
        },
        complete=trial.state == TrialState.COMPLETE and STOPPED not in trial.user_attrs,
        cost=trial.values[1] if trial.values and len(trial.values) > 1 else None,
    )
