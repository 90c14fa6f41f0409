"""What the report says of one benchmark, as rows of plain numbers: computed once, drawn and written
by others. Percent and points.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from discl.core.conventions import SHOTS
from discl.core.result import Result
from discl.harness.leaderboard import statistics
from discl.harness.leaderboard.statistics import Difference, Estimate
from discl.harness.leaderboard.table import Board, Row
from discl.harness.report.headline import (
    Answer,
    Link,
    Scores,
    answer,
    chain,
    headline_metric,
    listed,
    weighed,
    where,
)
from discl.harness.report.histories import Histories

Rows = list[dict[str, Any]]  # of a chart's table; None where nothing was measured
MOST_CLASSES = 40  # drawn one by one; more are drawn together, those of like many photos
SPENT = {
    "minutes": "minutes of training",
    "denoising_steps": "denoising steps",
    "steps": "optimiser steps",
    "images": "generated images",
}
MOST_SEEDS = 20  # drawn one by one


@dataclass(frozen=True)
class Facts:
    """One benchmark's comparison."""

    board: Board
    histories: Histories  # of the runs' epochs; empty where their records are not here

    @cached_property
    def metric(self) -> str:
        """The one the headline is about."""
        return headline_metric(self.board)

    @cached_property
    def scores(self) -> dict[str, Scores]:
        """Metric -> strategy -> seed -> fraction; what is no number was not measured."""
        return {
            metric: {row.strategy: by_seed(row.results, metric) for row in self.board.rows}
            for metric in self.board.columns
        }

    @cached_property
    def answer(self) -> Answer:
        """The headline."""
        return self.answers[self.metric]

    @cached_property
    def answers(self) -> dict[str, Answer]:
        """By metric; a strategy that is told apart there may lose elsewhere, so the other columns
        are said beside it.
        """
        found = {
            metric: answer(self.board, metric, self.scores[metric]) for metric in self.board.columns
        }
        return {
            metric: one._replace(notes=[*self._elsewhere(one, metric), *one.notes])
            for metric, one in found.items()
        }

    def _elsewhere(self, one: Answer, metric: str) -> list[str]:
        """How the strategy of a headline does by the other measures a reader will ask for."""
        if not (one.certain and one.best and one.base):
            return []
        asked = [
            each
            for each, title in self.board.columns.items()
            if title in ("all", "few", "ood") and each != metric
        ]
        gains = {
            each: statistics.paired(
                self.scores[each].get(one.best, {}), self.scores[each].get(one.base, {})
            )
            for each in asked
        }
        told = [
            f"{where(self.board.columns[each])} {weighed(gain)}"
            for each, gain in gains.items()
            if gain.n
        ]
        return [f"Its difference elsewhere: {listed(told)}."] if told else []

    @cached_property
    def chains(self) -> dict[str, list[Link]]:
        """By metric, of the rows that have every seed, so that the steps add up."""
        whole = {row.strategy for row in self.board.rows if row.complete}
        return {
            metric: chain({name: found[name] for name in found if name in whole})
            for metric, found in self.scores.items()
        }

    @cached_property
    def differences(self) -> dict[str, dict[str, dict[str, Difference]]]:
        """Baseline -> metric -> strategy."""
        return {
            base: {
                metric: statistics.differences(found, base) for metric, found in self.scores.items()
            }
            for base in self.board.baselines
        }

    @cached_property
    def leading(self) -> dict[str, list[str]]:
        """Metric -> the complete rows that nothing is told apart above; none where that is all of
        them.
        """
        whole = {row.strategy for row in self.board.rows if row.complete}
        found = {
            metric: statistics.ranks({name: by[name] for name in by if name in whole and by[name]})
            for metric, by in self.scores.items()
        }
        return {
            metric: [name for name, (best, _) in places.items() if best == 1]
            if any(best > 1 for best, _ in places.values())
            else []
            for metric, places in found.items()
        }

    @property
    def strategies(self) -> list[str]:
        """Best first."""
        return [row.strategy for row in self.board.rows]


def by_seed(results: Sequence[Result], metric: str) -> dict[int, float]:
    """What was measured."""
    return {
        result.seed: value
        for result in results
        if math.isfinite(value := result.metrics.get(metric, math.nan))
    }


def interval(found: Estimate) -> dict[str, Any]:
    """mean, low and high in percent; without an interval low and high are None."""
    if not found.n:
        return {"mean": None, "low": None, "high": None, "n": 0}
    half = found.half_width
    ends = (
        {"low": None, "high": None}
        if half is None
        else {"low": _percent(found.mean - half), "high": _percent(found.mean + half)}
    )
    return {"mean": _percent(found.mean), **ends, "n": found.n}


def _percent(value: float) -> float:
    return round(100 * value, 4)


# ---------------------------------------------------------------- rows for charts and tables


def tables(facts: Facts) -> dict[str, Rows]:
    """Everything that is drawn, by name; what has nothing in it is left out."""
    found = {
        "scores": score_rows(facts),
        "seeds": seed_rows(facts),
        "differences": difference_rows(facts),
        "chain": chain_rows(facts),
        "groups": group_rows(facts),
        "classes": class_rows(facts),
        "costs": cost_rows(facts),
        "places": place_rows(facts),
        **facts.histories.tables(),
    }
    return {name: rows for name, rows in found.items() if rows}


def score_rows(facts: Facts) -> Rows:
    """Strategy x metric."""
    columns = facts.board.columns
    return [
        {
            "strategy": row.strategy,
            "metric": metric,
            "title": columns[metric],
            **interval(row.metrics[metric].mean),
        }
        for row in facts.board.rows
        for metric in columns
        if row.metrics[metric].mean.n
    ]


def seed_rows(facts: Facts) -> Rows:
    """Strategy x metric x seed, where the seeds are few enough to be seen."""
    if len(facts.board.declared_seeds) > MOST_SEEDS:
        return []
    return [
        {"strategy": name, "metric": metric, "seed": seed, "value": _percent(value)}
        for metric, found in facts.scores.items()
        for name, seeds in found.items()
        for seed, value in seeds.items()
    ]


def difference_rows(facts: Facts) -> Rows:
    """Baseline x metric x strategy; points."""
    return [
        {
            "strategy": name,
            "baseline": base,
            "metric": metric,
            **interval(one.mean),
            "clear": one.mean.excludes_zero(),
        }
        | {"p": one.p, "p_holm": one.p_holm, "improvement": one.improvement}
        for base, by_metric in facts.differences.items()
        for metric, found in by_metric.items()
        for name, one in sorted(
            found.items(), key=lambda each: -each[1].mean.mean if each[1].mean.n else 0.0
        )
        if one.mean.n
    ]


def chain_rows(facts: Facts) -> Rows:
    """Metric x step; points."""
    return [
        {
            "metric": metric,
            "step": link.step,
            "strategy": link.strategy,
            "over": link.over,
            "label": _step(link),
        }
        | interval(link.gain)
        for metric, links in facts.chains.items()
        for link in links
    ]


def _step(link: Link) -> str:
    return f"{link.step} of {link.strategy}" if link.step == "order" else link.step


def group_rows(facts: Facts) -> Rows:
    """Strategy x group of classes."""
    titles = ("many", "medium", "few")
    order = {name: place for place, name in enumerate(facts.strategies)}
    rows = [row for row in score_rows(facts) if row["title"] in titles]
    return [{**row, "group": row["title"], "order": order[row["strategy"]]} for row in rows]


def class_rows(facts: Facts) -> Rows:
    """Strategy x class, most photos first; classes that the test split lacks are left out."""
    first = facts.board.rows[0].results[0]
    members = _pooled(first.counts) if len(first.classes) > MOST_CLASSES else _alone(first)
    found = []
    for row in facts.board.rows:
        recalls = [
            np.array([np.nan if one is None else one for one in result.class_recalls], np.float64)
            for result in row.results
        ]
        for place, (name, labels, photos) in enumerate(members):
            means = [
                float(np.nanmean(each[labels]))
                for each in recalls
                if not np.isnan(each[labels]).all()
            ]
            if means:
                found.append(
                    {
                        "strategy": row.strategy,
                        "class": name,
                        "order": place,
                        "photos": photos,
                        **interval(statistics.estimate(means)),
                    }
                )
    return found


def _alone(first: Result) -> list[tuple[str, list[int], int]]:
    order = sorted(range(len(first.classes)), key=lambda label: -first.counts[label])
    return [(first.classes[label], [label], first.counts[label]) for label in order]


def _pooled(counts: Sequence[int]) -> list[tuple[str, list[int], int]]:
    """Classes with 2**k to 2**(k+1) - 1 real training photos together."""
    bins: dict[int, list[int]] = {}
    for label, photos in enumerate(counts):
        bins.setdefault(int(photos).bit_length(), []).append(label)
    return [
        (_bin_name(bits, len(labels)), labels, sum(counts[label] for label in labels))
        for bits, labels in sorted(bins.items(), reverse=True)
    ]


def _bin_name(bits: int, classes: int) -> str:
    low, high = (2 ** (bits - 1), 2**bits - 1) if bits else (0, 0)
    photos = str(low) if low == high else f"{low} to {high}"
    return f"{photos} photos ({classes} {'class' if classes == 1 else 'classes'})"


def cost_rows(facts: Facts) -> Rows:
    """Strategy x metric x what a run costs."""
    return [
        {
            "strategy": row.strategy,
            "metric": metric,
            "cost": SPENT[key],
            "spent": row.cost[key],
            **interval(row.metrics[metric].mean),
        }
        for row in facts.board.rows
        for key in SPENT
        if key in row.cost
        for metric in facts.board.columns
        if row.metrics[metric].mean.n
    ]


def place_rows(facts: Facts) -> Rows:
    """Strategy x metric: at home across, out of distribution up."""
    ood = next((metric for metric, title in facts.board.columns.items() if title == "ood"), None)
    if ood is None:
        return []
    found = []
    for row in facts.board.rows:
        home, away = interval(row.metrics[facts.board.first].mean), interval(row.metrics[ood].mean)
        if home["n"] and away["n"]:
            found.append(
                {
                    "strategy": row.strategy,
                    **{f"id_{k}": v for k, v in home.items()},
                    **{f"ood_{k}": v for k, v in away.items()},
                }
            )
    return found


def shots_words(rows: Sequence[Row]) -> Mapping[str, str]:
    """Group -> how many real training photos that means."""
    return SHOTS[rows[0].results[0].identity.get("metrics", {}).get("shots", "kang")].words()
