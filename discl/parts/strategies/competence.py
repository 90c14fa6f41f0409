"""Low to high at the learner's pace, as a val metric shows it (after Platanios et al. 2019)."""

from __future__ import annotations

from discl.core.errors import UserError
from discl.core.interfaces import EpochContext, Mix
from discl.core.metric_names import higher_is_better


class Competence:
    """Equal parts of the lowest levels; the share of the levels that is used is the competence.

    Competence is the best value of `metric` on val so far, as a share of `goal`, at most 1. It
    changes when val is measured (`train.evaluate_every`) and never falls; before that only the
    lowest level is used. A goal that is out of reach keeps the highest levels unused, so set it
    near the value that training on photos only reaches.
    """

    version = 1
    rebalanced = True
    ordered = True
    probe = None

    def __init__(self, goal: float = 0.4, metric: str = "macro_acc") -> None:
        """Settings:

        `goal`: value of `metric` on val at which all levels are used.
        `metric`: the metric on val that competence is measured by.
        """
        if not 0 < goal <= 1:
            raise UserError(
                f"strategy.competence.goal = {goal}: takes a fraction above 0, at most 1"
            )
        self.goal = goal
        self.metric = metric.removeprefix("val/")
        if not higher_is_better(self.metric):
            raise UserError(
                f"strategy.competence.metric = {metric!r}: lower values of it are better, so it is"
                " no competence; name another metric"
            )

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, context: EpochContext) -> Mix:
        competence = min(1.0, self._best(context) / self.goal)
        # the first level is always open, the last opens at competence 1, the others evenly between
        opened = context.levels[: 1 + int(competence * (len(context.levels) - 1) + 1e-9)]
        return {level: 1 / len(opened) for level in opened}

    def _best(self, context: EpochContext) -> float:
        """Best value on val; 0 where nothing was measured yet."""
        evaluations = [report.values for report in context.history if report.values]
        key = f"val/{self.metric}"
        if evaluations and key not in evaluations[-1]:
            raise UserError(
                f"strategy.competence.metric = {self.metric!r} is not measured; choose one of"
                f" {', '.join(sorted(evaluations[-1]))}"
            )
        return max((values[key] for values in evaluations if key in values), default=0.0)
