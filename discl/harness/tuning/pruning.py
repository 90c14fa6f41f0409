"""When a trial or a run is given up: Optuna's Wilcoxon, median and patient pruners."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna

from discl.config.sweep import TuneTable
from discl.core.interfaces import EpochReport
from discl.harness.tuning.proposals import Direction, FinishedTrial, directions_of, quiet


def is_clearly_worse(
    tune: TuneTable, finished: Sequence[FinishedTrial], scores: Mapping[int, float]
) -> bool:
    """Whether a trial with these scores by replicate is worse than the best complete one.

    Decided by Optuna's Wilcoxon pruner: a signed-rank test of differences paired by replicate.
    """
    complete = [trial for trial in finished if trial.complete]
    if tune.pruner == "none" or not complete or len(scores) < tune.prune_after:
        return False
    with quiet():
        pruner = optuna.pruners.WilcoxonPruner(p_threshold=tune.p, n_startup_steps=tune.prune_after)
        direction: Direction = "minimize" if complete[0].lower_is_better else "maximize"
        study = optuna.create_study(direction=direction, pruner=pruner)
        for trial in complete:
            study.add_trial(
                optuna.create_trial(value=trial.mean, intermediate_values=dict(trial.scores))
            )
        current = study.ask()
        for replicate, score in sorted(scores.items()):
            current.report(score, replicate)
        return bool(current.should_prune())


@dataclass(frozen=True)
class MedianStopping:
    """Stops a run whose val metric stays below the median of earlier trials (Golovin et al. 2017).

    Not before the curriculum is over: it makes training harder or easier as it goes, so that slow
    starters are the point of it.
    """

    metric: str
    curriculum_epochs: int
    patience: int  # evaluations on val without an improvement
    # (epoch, value) of earlier trials on the same replicate
    curves: tuple[tuple[tuple[int, float], ...], ...]

    def __call__(self, history: Sequence[EpochReport]) -> bool:
        evaluations = [
            (report.epoch, report.values[self.metric])
            for report in history
            if self.metric in report.values
        ]
        if not self.curves or not evaluations or evaluations[-1][0] != history[-1].epoch:
            return False
        with quiet():
            median = optuna.pruners.MedianPruner(
                n_startup_trials=1, n_warmup_steps=self.curriculum_epochs
            )
            pruner = optuna.pruners.PatientPruner(median, patience=self.patience)
            (direction,) = directions_of([self.metric])
            study = optuna.create_study(direction=direction, pruner=pruner)
            for curve in self.curves:
                study.add_trial(
                    optuna.create_trial(value=curve[-1][1], intermediate_values=dict(curve))
                )
            current = study.ask()
            for epoch, value in evaluations:
                current.report(value, epoch)
            return bool(current.should_prune())
