"""What tuning bought each strategy, and at what price: its winner on fresh seeds, beside its
default on the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import TrialState

from discl.config.sweep import Point
from discl.core.result import Result
from discl.harness.leaderboard import columns
from discl.harness.leaderboard.statistics import Estimate, estimate, paired
from discl.harness.tuning.history import SLOT, hours_of
from discl.harness.tuning.proposals import STOPPED, frozen, settings
from discl.harness.tuning.storage import FAILURE, LIVES
from discl.harness.tuning.study import StrategyStudy, Tuner


@dataclass(frozen=True)
class Search:
    """What a strategy's studies cost, over all rungs, and what they found."""

    strategy: str
    complete: int  # trials with every replicate, and those given up on the way
    given_up: int  # of these, trials that looked worse after some replicates
    failed: int
    runs: int  # replicates scored
    hours: float  # of their training; a run that was stored counts nothing
    default: float | None  # objective of the benchmark's own setting
    best: float | None
    settings: dict[str, Any]  # the winner's


def searches(tuning: Tuner) -> list[Search]:
    """A line for each strategy."""
    return [
        _search(name, [study for (owner, _), study in tuning.studies.items() if owner == name])
        for name in tuning.strategies
    ]


def _search(strategy: str, studies: list[StrategyStudy]) -> Search:
    slots = [trial for study in studies for trial in study.slots() if trial]
    last = studies[-1]
    winner = studies[-1].winner()
    own = last.own()
    default = next(
        (
            frozen(trial)
            for trial in last.slots()
            if trial and dict(trial.params) == own and frozen(trial).complete
        ),
        None,
    )
    return Search(
        strategy=strategy,
        complete=sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in slots),
        given_up=sum(STOPPED in trial.user_attrs for trial in slots),
        failed=sum(FAILURE in trial.user_attrs for trial in slots),
        runs=sum(len(trial.intermediate_values) for trial in slots),
        hours=hours_of(slots),
        default=default.mean if default else None,
        best=frozen(winner).mean if winner else None,
        settings=settings(winner.params) if winner else {},
    )


def failures(tuning: Tuner) -> dict[str, str]:
    """Trial -> why it has no result, for those that the next launch tries again."""
    found = {}
    for (strategy, rung), study in tuning.studies.items():
        on = f" of rung {rung}" if len(tuning.rungs) > 1 else ""
        for trial in study.slots():
            if trial and trial.state == TrialState.FAIL:
                why = trial.user_attrs.get(FAILURE, f"{LIVES} launchers died while it ran")
                found[f"{strategy} trial {trial.user_attrs[SLOT]}{on}"] = why
    return found


@dataclass(frozen=True)
class Retest:
    """A strategy's default and winner on seeds that tuned nothing."""

    strategy: str
    default: list[Point]
    tuned: list[Point]


def retests(tuning: Tuner, count: int) -> list[Retest]:
    """The runs that compare them; seeds follow those the studies used."""
    used = tuning.rungs[-1].tune.seeds if tuning.rungs[-1].tune else []
    fresh = list(range(max(used) + 1, max(used) + 1 + count))
    made = []
    for strategy in tuning.strategies:
        study = tuning.final(strategy)
        winner = study.winner() if study else None
        if study and winner:
            made.append(
                Retest(strategy, study.points({}, fresh), study.points(winner.params, fresh))
            )
    return made


@dataclass(frozen=True)
class Gain:
    """Default against tuned, paired by seed."""

    strategy: str
    default: dict[str, Estimate]
    tuned: dict[str, Estimate]
    gain: dict[str, Estimate]


def gains(
    pairs: Sequence[Retest], results: Mapping[str, Result]
) -> tuple[dict[str, str], list[Gain]]:
    """(metric -> title, a line for each strategy); test is read here for the first time."""
    there = [
        result
        for pair in pairs
        for each in (*pair.default, *pair.tuned)
        if (result := results.get(each.experiment.id()))
    ]
    if not there:
        return {}, []
    shown = columns.of(there)
    titles = {metric: title for metric, title in shown.titles.items() if title in columns.BRIEF}

    def by_seed(points: list[Point], metric: str) -> dict[int, float]:
        found = [results[id] for point in points if (id := point.experiment.id()) in results]
        return {result.seed: result.metrics[metric] for result in found if metric in result.metrics}

    lines = []
    for pair in pairs:
        default, tuned = (
            {metric: by_seed(side, metric) for metric in titles}
            for side in (pair.default, pair.tuned)
        )
        lines.append(
            Gain(
                pair.strategy,
                {metric: estimate(list(values.values())) for metric, values in default.items()},
                {metric: estimate(list(values.values())) for metric, values in tuned.items()},
                {metric: paired(tuned[metric], default[metric]) for metric in titles},
            )
        )
    return titles, lines
