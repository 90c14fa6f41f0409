"""What a sweep file asks for, as runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from discl.config import sweep_expand
from discl.config.experiment import Experiment
from discl.config.sweep import Point, SweepFile
from discl.core.errors import unknown
from discl.core.result import Result
from discl.harness.leaderboard import columns
from discl.harness.sweep.order_test.statistics import (
    Reading,
    check_equal_exposure,
    check_seeds,
    orders,
    read,
    sentences,
)

STRATEGY, ORDER = "order", "strategy.order.order"


def experiments(found: SweepFile) -> list[Experiment]:
    """The runs of a sweep; of one that tunes, those of each strategy as the benchmark has it."""
    if found.tune:
        at = [
            {"strategy": strategy, "seed": seed}
            for seed in found.tune.seeds
            for strategy in sweep_expand.strategies(found)
        ]
        return [point.experiment for point in sweep_expand.points(found, at)]
    return [
        point.experiment for point in (order_points(found) if found.order else sweep_expand.expand(found))
    ]


def bound(found: SweepFile) -> int:
    """How many runs tuning makes at most; 0 where nothing is tuned."""
    if not found.tune:
        return 0
    trials = sum(
        sweep_expand.budget(rung, strategy)
        for rung in sweep_expand.rungs(found)
        for strategy in sweep_expand.strategies(found)
    )
    return trials * len(found.tune.seeds) * (1 + len(found.tune.also))


def order_points(found: SweepFile) -> list[Point]:
    """Every order of the levels with every seed; seeds go slowest."""
    assert found.order is not None  # noqa: S101 - the caller looked
    (base,) = sweep_expand.points(found, [{"strategy": STRATEGY, "seed": 0}])
    spec = base.experiment.benchmark
    check_equal_exposure(spec.train.curriculum_epochs, spec.levels)
    check_seeds(sweep_expand.seeds(found))
    listed = orders(spec.levels, found.order.orders, found.order.seed)
    at = [
        {ORDER: list(order), "strategy": STRATEGY, "seed": seed}
        for seed in sweep_expand.seeds(found)
        for order in listed
    ]
    return list(sweep_expand.points(found, at))


def read_orders(
    found: SweepFile, points: Sequence[Point], results: Mapping[str, Result]
) -> dict[str, tuple[Reading, list[str]]]:
    """Metric -> what the order test says of it, the one that epochs are chosen by first."""
    there = [results[point.experiment.id()] for point in points]
    shown = columns.of(there)
    wanted = (found.order.metrics if found.order else []) or [
        metric for metric, title in shown.titles.items() if title in ("all", "few", "ood")
    ]
    read_ones: dict[str, tuple[Reading, list[str]]] = {}
    for metric in wanted:
        if metric not in there[0].metrics:
            raise unknown("metric", metric, there[0].metrics)
        scores: dict[tuple[int, ...], dict[int, float]] = {}
        for point, result in zip(points, there, strict=True):
            scores.setdefault(tuple(point.at[ORDER]), {})[result.seed] = result.metrics[metric]
        reading = read(scores, paper=tuple(sorted(next(iter(scores)))))
        read_ones[metric] = (reading, sentences(reading, shown.titles.get(metric, metric)))
    return read_ones


def plain(reading: Reading) -> dict[str, Any]:
    """A reading as JSON can say it."""
    from dataclasses import asdict

    return asdict(reading)
