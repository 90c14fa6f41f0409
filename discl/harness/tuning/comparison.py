"""The gain of tuning: each strategy's winner on fresh seeds beside its default on the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from discl.config.sweep import Point
from discl.core.result import Result
from discl.harness.leaderboard import columns
from discl.harness.leaderboard.epochs import read
from discl.harness.leaderboard.statistics import Estimate, estimate, paired
from discl.harness.tuning.proposals import STOPPED, finished_trial
from discl.harness.tuning.slots import SLOT, hours_of
from discl.harness.tuning.space import settings
from discl.harness.tuning.storage.database import FAILURE, MAX_RESTARTS
from discl.harness.tuning.study import StrategyStudy
from discl.harness.tuning.tuner import Tuner


@dataclass(frozen=True)
class Search:
    """Cost and findings of a strategy's studies, over all rungs."""

    strategy: str
    complete: int  # trials with every replicate, and those given up on the way
    given_up: int  # of these, trials that looked worse after some replicates
    failed: int
    runs: int  # replicates scored
    hours: float  # of their training; a run that was stored counts nothing
    default: float | None  # objective of the benchmark's own setting
    best: float | None
    settings: dict[str, Any]  # the winner's


def searches(tuner: Tuner) -> list[Search]:
    """A line for each strategy."""
    lines = []
    for strategy in tuner.strategies:
        studies = [study for (owner, _), study in tuner.studies.items() if owner == strategy]
        lines.append(_search(strategy, studies))
    return lines


def _search(strategy: str, studies: list[StrategyStudy]) -> Search:
    trials = [trial for study in studies for trial in study.slots() if trial]
    last_rung = studies[-1]
    winner = last_rung.winner()
    return Search(
        strategy=strategy,
        complete=sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in trials),
        given_up=sum(STOPPED in trial.user_attrs for trial in trials),
        failed=sum(FAILURE in trial.user_attrs for trial in trials),
        runs=sum(len(trial.intermediate_values) for trial in trials),
        hours=hours_of(trials),
        default=_default_value(last_rung),
        best=finished_trial(winner).mean if winner else None,
        settings=settings(winner.params) if winner else {},
    )


def _default_value(study: StrategyStudy) -> float | None:
    own = study.definition.own()
    for trial in study.slots():
        if trial and dict(trial.params) == own and finished_trial(trial).complete:
            return finished_trial(trial).mean
    return None


def failures(tuner: Tuner) -> dict[str, str]:
    """Trial -> why it has no result, for those that the next launch tries again."""
    reasons = {}
    for (strategy, rung), study in tuner.studies.items():
        rung_words = f" of rung {rung}" if len(tuner.rungs) > 1 else ""
        for trial in study.slots():
            if trial and trial.state == TrialState.FAIL:
                name = f"{strategy} trial {trial.user_attrs[SLOT]}{rung_words}"
                reasons[name] = _reason(trial)
    return reasons


def _reason(trial: FrozenTrial) -> str:
    return str(trial.user_attrs.get(FAILURE, f"{MAX_RESTARTS} launchers died while it ran"))


# ---------------------------------------------------------------- on fresh seeds


@dataclass(frozen=True)
class Retest:
    """The runs of a strategy's default and winner on seeds that tuned nothing."""

    strategy: str
    default: list[Point]
    tuned: list[Point]


def retests(tuner: Tuner, count: int) -> list[Retest]:
    """The runs that compare default and winner; their seeds follow those the studies used."""
    tune = tuner.rungs[-1].tune
    used = tune.seeds if tune else []
    seeds = list(range(max(used) + 1, max(used) + 1 + count))
    pairs = []
    for strategy in tuner.strategies:
        study = tuner.final(strategy)
        winner = study.winner() if study else None
        if study and winner:
            default = study.definition.seed_points({}, seeds)
            tuned = study.definition.seed_points(winner.params, seeds)
            pairs.append(Retest(strategy, default, tuned))
    return pairs


@dataclass(frozen=True)
class Gain:
    """Default against tuned by metric.

    Gains are paired by seed, and the interval of each stands alone: those of several strategies or
    metrics do not hold together.
    """

    strategy: str
    default: dict[str, Estimate]
    tuned: dict[str, Estimate]
    gain: dict[str, Estimate]


def gains(
    pairs: Sequence[Retest], results: Mapping[str, Result]
) -> tuple[dict[str, str], list[Gain]]:
    """(metric -> title, a line for each strategy); test is read here for the first time."""
    done = [
        results[point.experiment.id()]
        for pair in pairs
        for point in (*pair.default, *pair.tuned)
        if point.experiment.id() in results
    ]
    if not done:
        return {}, []
    wanted = pairs[0].default[0].experiment.benchmark.select.epoch
    results = {result.id: result for result in read(done, wanted).results}
    done = list(results.values())
    shown = columns.of(done)
    titles = {metric: title for metric, title in shown.titles.items() if title in columns.BRIEF}
    return titles, [_gain(pair, results, list(titles)) for pair in pairs]


def _gain(pair: Retest, results: Mapping[str, Result], metrics: Sequence[str]) -> Gain:
    line = Gain(pair.strategy, {}, {}, {})
    for metric in metrics:
        default = _by_seed(pair.default, results, metric)
        tuned = _by_seed(pair.tuned, results, metric)
        line.default[metric] = estimate(list(default.values()))
        line.tuned[metric] = estimate(list(tuned.values()))
        line.gain[metric] = paired(tuned, default)
    return line


def _by_seed(
    points: Sequence[Point], results: Mapping[str, Result], metric: str
) -> dict[int, float]:
    scores = {}
    for point in points:
        result = results.get(point.experiment.id())
        value = result.metrics.get(metric, math.nan) if result else math.nan
        if result and math.isfinite(value):
            scores[result.seed] = value
    return scores
