"""One benchmark's comparison: headlines, steps and differences by metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from discl.core.text import listed
from discl.harness.leaderboard import simultaneous
from discl.harness.leaderboard.statistics import Estimate, PairedDifference
from discl.harness.leaderboard.table import Board
from discl.harness.leaderboard.wording import percent
from discl.harness.report.headline import (
    GainStep,
    Headline,
    Scores,
    gain_steps,
    headline,
    headline_metric,
    points_or_not,
    where,
)
from discl.harness.report.histories import Histories

MOST_SEEDS = 50  # of a row that are drawn beside its mean
Rows = list[dict[str, Any]]  # of a chart's table; None where nothing was measured


@dataclass(frozen=True)
class Comparison:
    """The runs of one benchmark, compared. Shares are fractions in [0, 1]."""

    board: Board
    histories: Histories  # of the runs' epochs; empty where their records are not here
    tuning_rows: Mapping[str, Rows] = field(default_factory=dict)  # "trials" and "importance"

    @property
    def strategies(self) -> list[str]:
        """Best first."""
        return [row.strategy for row in self.board.rows]

    @property
    def tuned_strategies(self) -> list[str]:
        """Those with a trial in a study."""
        return list(dict.fromkeys(row["strategy"] for row in self.tuning_rows.get("trials", [])))

    @property
    def strategies_and_tuned(self) -> list[str]:
        """Every strategy that a chart may show."""
        return list(dict.fromkeys([*self.strategies, *self.tuned_strategies]))

    @cached_property
    def metric(self) -> str:
        """The metric of the headline."""
        return headline_metric(self.board)

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """Metric -> strategy -> seed -> fraction; values that are not finite are left out."""
        return {metric: self.board.values(metric) for metric in self.board.columns}

    @property
    def headline(self) -> Headline:
        """The headline of the first metric a reader sees."""
        return self.headlines[self.metric]

    @cached_property
    def headlines(self) -> dict[str, Headline]:
        """By metric; a strategy that wins there may lose elsewhere, so other columns are named."""
        headlines = {}
        for metric in self.board.columns:
            plain = headline(self.board, metric, self.scores[metric])
            notes = [*self._elsewhere(plain, metric), *plain.notes]
            # a claim names its epoch
            at = f"At {self.board.rule.words}: " if plain.best else ""
            headlines[metric] = plain._replace(sentence=f"{at}{plain.sentence}", notes=notes)
        return headlines

    def _elsewhere(self, of_metric: Headline, metric: str) -> list[str]:
        """The gain of a headline's strategy by the other measures a reader will ask for."""
        best, base = of_metric.best, of_metric.base
        if not (of_metric.certain and best and base):
            return []
        sentences = []
        for other, title in self.board.columns.items():
            if other == metric or title not in ("all", "few", "ood"):
                continue
            gain = self.board.pairs(other).between(best, base)
            if gain.n:
                sentences.append(f"{where(title)} {points_or_not(gain)}")
        return [f"Its difference elsewhere: {listed(sentences)}."] if sentences else []

    @cached_property
    def gain_steps(self) -> dict[str, list[GainStep]]:
        """By metric, of the rows that have every seed, so that the steps add up."""
        ordered = [row.strategy for row in self.board.rows if row.ordered]
        return {metric: gain_steps(self._complete(metric), ordered) for metric in self.scores}

    @cached_property
    def differences(self) -> dict[str, dict[str, dict[str, PairedDifference]]]:
        """Baseline -> metric -> strategy."""
        return {
            base: {metric: self.board.differences_to(base, metric) for metric in self.scores}
            for base in self.board.baselines
        }

    def seeds_of(self, metric: str, strategy: str, over: str | None = None) -> list[float]:
        """A strategy's percents seed by seed, the first 50; `over` another one, in points."""
        scores = self.scores[metric]
        own, other = scores.get(strategy, {}), scores.get(over or "", {})
        shared = sorted(set(own) & set(other) if over else own)[:MOST_SEEDS]
        return [round(100 * (own[seed] - other.get(seed, 0.0)), 2) for seed in shared]

    @cached_property
    def leading(self) -> dict[str, list[str]]:
        """Metric -> complete rows that no other row is above; empty where that is all of them."""
        leading = {}
        for metric in self.scores:
            scored = {name: seeds for name, seeds in self._complete(metric).items() if seeds}
            places = simultaneous.places(scored, metric in self.board.lower_is_better)
            first = [name for name, (best, _) in places.items() if best == 1]
            leading[metric] = first if len(first) < len(places) else []
        return leading

    def _complete(self, metric: str) -> Scores:
        """Scores of the rows that have every seed."""
        complete = {row.strategy for row in self.board.rows if row.complete}
        return {name: seeds for name, seeds in self.scores[metric].items() if name in complete}


def interval(estimate: Estimate) -> dict[str, Any]:
    """mean, low and high in percent; without an interval low and high are None."""
    if not estimate.n:
        return {"mean": None, "low": None, "high": None, "n": 0}
    mean = estimate.mean
    half_width = estimate.half_width
    low = None if half_width is None else in_percent(mean - half_width)
    high = None if half_width is None else in_percent(mean + half_width)
    return {"mean": in_percent(mean), "low": low, "high": high, "n": estimate.n}


def labelled(estimate: Estimate, *, signed: bool) -> dict[str, Any]:
    """`interval` with its `number` as the tables write it: Vega rounds halves another way."""
    return {**interval(estimate), "number": percent(estimate, signed=signed)}


def in_percent(fraction: float) -> float:
    """A fraction as percent, rounded so that pages stay small."""
    return round(100 * fraction, 4)
