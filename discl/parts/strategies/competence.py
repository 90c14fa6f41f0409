"""Low to high at the learner's own pace: what val says it can do decides how far up the levels it
goes (after Platanios et al. 2019).
"""

from __future__ import annotations

from discl.core.errors import UserError
from discl.core.interfaces import EpochContext, Mix


class Competence:
    """Equal parts of the lowest levels, of which competence opens its share: all of them from
    competence 1 on.

    Competence is the best value of `metric` that val has shown so far, as a share of `goal`. It
    moves when val is looked at (`train.evaluate_every`) and never falls; before the first look,
    only the lowest level is open. A goal the learner does not come near keeps the highest levels
    shut: `goal` belongs to the benchmark, so set it near what photos alone reach.
    """

    version = 1
    rebalanced = True
    ordered = True
    probe = None

    def __init__(self, goal: float = 0.4, metric: str = "macro_acc") -> None:
        if not 0 < goal <= 1:
            raise UserError(
                f"strategy.competence.goal = {goal}: takes a fraction above 0, at most 1"
            )
        self.goal = goal
        self.metric = metric.removeprefix("val/")

    def uses(self, levels: tuple[int, ...]) -> tuple[int, ...]:
        return levels

    def mix(self, context: EpochContext) -> Mix:
        competence = min(1.0, self._best(context) / self.goal)
        # the last level opens at competence 1, the first is always open, and the others in between
        # at equal distances
        opened = context.levels[: 1 + int(competence * (len(context.levels) - 1) + 1e-9)]
        return {level: 1 / len(opened) for level in opened}

    def _best(self, context: EpochContext) -> float:
        """0 where nothing was measured yet."""
        looks = [report.values for report in context.history if report.values]
        key = f"val/{self.metric}"
        if looks and key not in looks[-1]:
            raise UserError(
                f"strategy.competence.metric = {self.metric!r} is not measured; there is"
                f" {', '.join(sorted(looks[-1]))}"
            )
        return max((values[key] for values in looks if key in values), default=0.0)
