"""The runs of an order test, and its results by metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from discl.config import sweep_expand
from discl.config.sweep import Point, SweepFile
from discl.core.conventions import EpochRule
from discl.core.errors import unknown
from discl.core.result import Result
from discl.harness.leaderboard import columns
from discl.harness.leaderboard.epochs import read
from discl.harness.sweep.order_test.orders import check_equal_exposure, check_seeds, orders
from discl.harness.sweep.order_test.sentences import sentences
from discl.harness.sweep.order_test.statistics import OrderTestResult, analyse

STRATEGY = "order"
ORDER = "strategy.order.order"  # the setting that holds the order


class MetricReading(NamedTuple):
    """The order test by one metric."""

    result: OrderTestResult
    sentences: list[str]
    rule: EpochRule  # which epoch its numbers are of


def order_points(sweep: SweepFile) -> list[Point]:
    """Every order of the levels with every seed; seeds go slowest.

    Raises UserError where the epochs or seeds do not allow a test.
    """
    assert sweep.order is not None  # noqa: S101 - the caller looked
    (base,) = sweep_expand.points(sweep, [{"strategy": STRATEGY, "seed": 0}])
    benchmark = base.experiment.benchmark
    check_equal_exposure(benchmark.train.curriculum_epochs, benchmark.levels)
    check_seeds(sweep_expand.seeds(sweep))
    listed = orders(benchmark.levels, sweep.order.orders, sweep.order.seed)
    at = [
        {ORDER: list(order), "strategy": STRATEGY, "seed": seed}
        for seed in sweep_expand.seeds(sweep)
        for order in listed
    ]
    return list(sweep_expand.points(sweep, at))


def read_orders(
    sweep: SweepFile, points: Sequence[Point], results: Mapping[str, Result]
) -> dict[str, MetricReading]:
    """Metric -> what the order test says by it, the metric that epochs are chosen by first.

    Raises UserError where a metric of the file was not measured, or a run is missing.
    """
    wanted = points[0].experiment.benchmark.select.epoch
    at = read([results[point.experiment.id()] for point in points], wanted)
    done = at.results
    titles = columns.of(done).titles
    metrics = sweep.order.metrics if sweep.order else []
    if not metrics:
        metrics = [metric for metric, title in titles.items() if title in ("all", "few", "ood")]
    readings = {}
    for metric in metrics:
        if metric not in done[0].metrics:
            raise unknown("metric", metric, done[0].metrics)
        scores: dict[tuple[int, ...], dict[int, float]] = {}
        for point, result in zip(points, done, strict=True):
            scores.setdefault(tuple(point.at[ORDER]), {})[result.seed] = result.metrics[metric]
        ascending = tuple(sorted(next(iter(scores))))
        tested = analyse(scores, paper=ascending)
        said = sentences(tested, titles.get(metric, metric))
        said += [at.note] if at.note else []
        readings[metric] = MetricReading(tested, said, at.rule)
    return readings


def as_json(result: OrderTestResult) -> dict[str, Any]:
    """A result in plain values."""
    return asdict(result)
