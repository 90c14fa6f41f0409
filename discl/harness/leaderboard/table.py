"""The leaderboard of a benchmark: results by strategy, with intervals and paired differences."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from discl.config import commands
from discl.config.benchmark import Benchmark
from discl.config.load import load
from discl.core.conventions import VAL, EpochRule
from discl.core.errors import UserError, unknown
from discl.core.result import Result
from discl.core.text import counted, typed
from discl.harness.leaderboard import columns, statistics
from discl.harness.leaderboard.ages import Ages, by_age, without_strays
from discl.harness.leaderboard.epochs import read, with_rule
from discl.harness.leaderboard.paper_results import PaperResults, paper_results
from discl.harness.leaderboard.setting import (
    conditions,
    missing_control,
    sampler_shares,
    small_groups,
)
from discl.harness.leaderboard.simultaneous import PairsOfBoard
from discl.harness.leaderboard.statistics import Estimate, PairedDifference, SeedSummary
from discl.harness.run.result_parts import is_ordered

BASELINES = ("real_rebalanced", "real_only")  # compared with unless others are named


@dataclass(frozen=True)
class BoardRow:
    """One strategy."""

    strategy: str
    ordered: bool  # see `discl.core.interfaces.Strategy`
    seeds: list[int]
    complete: bool  # every declared seed is there; otherwise shown, never ranked
    # best and worst place by the first column, ties counted in; None = not ranked
    places: tuple[int, int] | None
    metrics: dict[str, SeedSummary]
    # numbers from before a correction: shown, never ranked or compared; empty in `metrics`
    old: dict[str, SeedSummary]
    before: bool  # all numbers are old
    corrections: tuple[str, ...]  # names of those that make numbers old
    differences: dict[str, dict[str, PairedDifference]]  # baseline -> metric -> difference
    # of a run, mean: minutes, steps, and images and denoising_steps of the bank it uses
    cost: dict[str, float]
    results: list[Result]  # by seed, at the epoch of the board's rule
    # metrics of `Board.other` by the other rule; empty of rows from before a correction
    beside: dict[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True)
class Board:
    """A table whose rows may be compared with each other."""

    benchmark: str
    scale: str
    title: str
    command: str  # that makes it
    declared_seeds: list[int]
    rows: list[BoardRow]
    comparability: dict[str, Any]  # what all results agree on
    hardware: list[str]
    code: list[str]  # discl version and commit
    columns: dict[str, str]  # metric -> title; the first one ranks
    differences: tuple[str, ...]  # metrics that are also shown against the baselines
    baselines: tuple[str, ...]
    caption: str  # what the columns mean
    lower_is_better: frozenset[str]  # of the columns
    about: tuple[str, ...] = ()  # sentences: what is hard, what the generator had seen
    papers: Sequence[PaperResults] = ()  # shown below, never ranked with the rows
    rule: EpochRule = VAL  # which epoch of each run its numbers are of
    # why that is another rule than the benchmark's, or which results are left out by it
    epoch_note: str = ""
    # metric -> strategy -> seed -> value by the other rule, of `differences`; empty where a result
    # keeps one epoch only
    other: Mapping[str, Mapping[str, Mapping[int, float]]] = field(default_factory=dict)

    @property
    def first(self) -> str:
        """The metric that ranks."""
        return next(iter(self.columns))

    def values(self, metric: str) -> dict[str, dict[int, float]]:
        """Strategy -> seed -> value of a metric, of every row."""
        return {
            row.strategy: {} if metric in row.old else by_seed(row.results, metric)
            for row in self.rows
        }

    def differences_to(self, baseline: str, metric: str) -> dict[str, PairedDifference]:
        """Strategy -> paired difference to a baseline, of any metric."""
        if baseline in self.baselines and metric in self.differences:
            return {
                row.strategy: row.differences[baseline][metric]
                for row in self.rows
                if baseline in row.differences
            }
        return statistics.differences(
            self.values(metric),
            baseline,
            lower_is_better=metric in self.lower_is_better,
            between=self.pairs(metric).between,
        )

    def pairs(self, metric: str) -> PairsOfBoard:
        """The pairs of rows by a metric, with intervals that hold together."""
        if metric not in self._pairs:
            complete = [row.strategy for row in self.rows if row.complete]
            self._pairs[metric] = PairsOfBoard(self.values(metric), complete)
        return self._pairs[metric]

    @cached_property
    def _pairs(self) -> dict[str, PairsOfBoard]:
        """Metric -> pairs, of those that were asked for."""
        return {}

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that this number of seeds can give, however clear a difference."""
        return statistics.smallest_p(len(self.declared_seeds))


def board(
    spec: Benchmark,
    results: Sequence[Result],
    baselines: Sequence[str] = (),
    *,
    other_data: bool = False,
    epoch: str | None = None,
) -> Board:
    """Group results by strategy, best mean of the first column first; incomplete rows last.

    `baselines` are strategies others are compared with; without any, `real_rebalanced` and
    `real_only` where they are there. Rows from before a correction come last: they have no place
    and are compared with nothing. Results of papers on the benchmark's data are below the table;
    with `other_data` also those on the data that it stands in for. Runs of seeds that the benchmark
    does not name are left out, and named in `about`. Numbers are of the epoch that
    the benchmark's select.epoch names, or `epoch`: results that lack it are left out and named, see
    `epochs.with_rule`; where all lack it, see `epochs.read`. Raises UserError where there is no
    result, no run of a baseline, or every result lacks the rule that `epoch` names.
    """
    if not results:
        raise UserError(
            f"no complete run of {spec.name} at scale {spec.scale} yet; run:"
            f" {typed('discl', 'bench', spec.name, '--scale', spec.scale)}"
        )
    wanted = epoch or spec.select.epoch
    results, left_out = with_rule(results, wanted)
    ages, strays = without_strays(by_age(results), spec.seeds)
    at = read([*ages.compared, *ages.before], wanted, asked=epoch is not None)
    compared = len(ages.compared)
    ages = replace(ages, compared=at.results[:compared], before=at.results[compared:])
    comparability = shared_comparability(ages.comparable)
    shown = columns.of(ages.compared or ages.before)
    groups = _groups(ages.compared)
    before = _groups(ages.before)
    for name in baselines:
        if name not in groups:
            error = unknown("baseline with a run", name, groups)
            raise UserError(f"{error}. {left_out}") if left_out else error
    against = tuple(baselines) or tuple(name for name in BASELINES if name in groups)
    of_other = _groups(at.other[:compared])
    other = {metric: _scores(of_other, metric, ages) for metric in shown.differences if at.other}
    rows = [
        replace(row, beside=_beside(other, row.strategy))
        for row in _rows(groups, ages, spec.seeds, against, shown)
    ]
    rows += [_row_before(name, before[name], ages, shown) for name in sorted(before)]
    command = commands.bench(
        spec.name,
        spec.scale,
        _named(spec, [row.strategy for row in rows]),
        spec.seeds,
        commands.settings_of(spec),
    )
    return Board(
        benchmark=spec.name,
        scale=spec.scale,
        title=spec.title,
        command=shlex.join(command),
        declared_seeds=list(spec.seeds),
        rows=rows,
        comparability=comparability,
        hardware=sorted({_hardware(result.provenance) for result in results}),
        code=sorted({_code(result.provenance) for result in results}),
        columns=shown.titles,
        differences=shown.differences,
        baselines=against,
        caption=shown.caption,
        lower_is_better=shown.lower_is_better,
        about=(
            *strays,
            *small_groups(ages.compared or ages.before),
            *conditions(ages.compared or ages.before),
            *missing_control(ages.compared or ages.before),
            *sampler_shares(ages.compared),
        ),
        papers=paper_results(spec.name, other_data=other_data),
        rule=at.rule,
        epoch_note=at.note or left_out,
        other=other,
    )


def _beside(
    other: Mapping[str, Mapping[str, Mapping[int, float]]], strategy: str
) -> dict[str, Estimate]:
    """Metric -> mean over seeds by the other rule."""
    return {
        metric: statistics.estimate([*by_name[strategy].values()])
        for metric, by_name in other.items()
        if strategy in by_name
    }


def _groups(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Strategy -> results by seed."""
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.seed):
        groups.setdefault(result.strategy, []).append(result)
    return groups


def _named(spec: Benchmark, strategies: Sequence[str]) -> list[str]:
    """The strategies a command must name; none where the benchmark's file has the same."""
    in_file = load(spec.name, spec.scale).strategies
    if set(strategies) == set(in_file):
        return []
    typed = [name for name in strategies if re.fullmatch(r"[\w.-]+", name)]
    return sorted(typed, key=lambda name: (name not in in_file, name))


def _row_before(
    name: str, group: list[Result], ages: Ages, shown: columns.BoardColumns
) -> BoardRow:
    """A row from before a correction: its numbers are shown, and compared with nothing."""
    return BoardRow(
        strategy=name,
        ordered=is_ordered(name, group),
        seeds=[result.seed for result in group],
        complete=False,
        places=None,
        metrics={metric: statistics.summary([], []) for metric in shown.titles},
        old={metric: _summary(group, metric) for metric in shown.titles},
        before=True,
        corrections=ages.corrections(group),
        differences={},
        cost=_cost(group),
        results=group,
    )


def _rows(
    groups: Mapping[str, list[Result]],
    ages: Ages,
    seeds: Sequence[int],
    baselines: Sequence[str],
    shown: columns.BoardColumns,
) -> list[BoardRow]:
    """A row for each strategy, in the order of the board."""
    wanted = set(seeds)
    complete = [
        name for name, group in groups.items() if wanted <= {result.seed for result in group}
    ]
    first = next(iter(shown.titles))
    scores = {metric: _scores(groups, metric, ages) for metric in shown.titles}
    wanted_pairs = dict.fromkeys([first, *shown.differences])
    pairs = {metric: PairsOfBoard(scores[metric], complete) for metric in wanted_pairs}
    places = pairs[first].complete.places(lower_is_better=first in shown.lower_is_better)
    compared = {base: _differences(scores, base, shown, pairs) for base in baselines}
    least = {
        metric: statistics.believable_spread([*values.values()] for values in by_name.values())
        for metric, by_name in scores.items()
    }
    rows = []
    for name, group in groups.items():
        old = [metric for metric in shown.titles if _is_old(group, metric, ages)]
        differences = {
            base: {metric: difference[name] for metric, difference in by_metric.items()}
            for base, by_metric in compared.items()
            if base != name
        }
        rows.append(
            BoardRow(
                strategy=name,
                ordered=is_ordered(name, group),
                seeds=[result.seed for result in group],
                complete=name in complete,
                places=places.get(name),
                metrics={
                    metric: _summary([] if metric in old else group, metric, least[metric])
                    for metric in shown.titles
                },
                old={metric: _summary(group, metric) for metric in old},
                before=False,
                corrections=ages.corrections(group),
                differences=differences,
                cost=_cost(group),
                results=group,
            )
        )
    sign = 1 if first in shown.lower_is_better else -1
    rows.sort(
        key=lambda row: (
            not row.complete,
            not row.metrics[first].mean.n,
            sign * row.metrics[first].mean.mean,
            row.strategy,
        )
    )
    return rows


def _is_old(group: Sequence[Result], metric: str, ages: Ages) -> bool:
    """Whether a correction touches the metric in one of the results."""
    return any(metric in ages.old.get(result.id, ()) for result in group)


def _scores(
    groups: Mapping[str, Sequence[Result]], metric: str, ages: Ages
) -> dict[str, dict[int, float]]:
    """Strategy -> seed -> value; of numbers from before a correction none."""
    return {
        name: {} if _is_old(group, metric, ages) else by_seed(group, metric)
        for name, group in groups.items()
    }


def _differences(
    scores: Mapping[str, Mapping[str, Mapping[int, float]]],
    base: str,
    shown: columns.BoardColumns,
    pairs: Mapping[str, PairsOfBoard],
) -> dict[str, dict[str, PairedDifference]]:
    """Metric -> strategy -> difference to the strategy `base`."""
    return {
        metric: statistics.differences(
            scores[metric],
            base,
            lower_is_better=metric in shown.lower_is_better,
            between=pairs[metric].between,
        )
        for metric in shown.differences
    }


def _hardware(provenance: Mapping[str, Any]) -> str:
    processor, device, threads = (
        provenance.get(name, "?") for name in ("processor", "device", "threads")
    )
    told = counted(threads, "thread") if isinstance(threads, int) else f"{threads} threads"
    return f"{processor}, {device}, {told}"


def _code(provenance: Mapping[str, Any]) -> str:
    return f"{provenance.get('discl', '?')} ({provenance.get('commit', '?')})"


def shared_comparability(results: Sequence[Result]) -> dict[str, Any]:
    """The comparability key that all results share.

    Raises UserError where they differ, naming the difference and the runs.
    """
    merged: dict[str, Any] = {}
    owner: dict[str, str] = {}
    for result in results:
        for key, value in result.comparability.items():
            if value is None:  # a run without generated images has no bank to disagree about
                continue
            if merged.setdefault(key, value) != value:
                raise UserError(
                    f"these results cannot stand in one table: {key} is {merged[key]} for"
                    f" {owner[key]} and {value} for {result.name}; run one of them again with the"
                    " current benchmark file, or remove it"
                )
            owner.setdefault(key, result.name)
    return merged


def by_seed(results: Sequence[Result], metric: str) -> dict[int, float]:
    """Seed -> value of a metric, of the results that have it."""
    values = {result.seed: result.metrics.get(metric, math.nan) for result in results}
    return {seed: value for seed, value in values.items() if math.isfinite(value)}


def _summary(group: Sequence[Result], metric: str, least: float = 0.0) -> SeedSummary:
    return statistics.summary(
        [*by_seed(group, metric).values()],
        [result.errors[metric] for result in group if metric in result.errors],
        least,
    )


def _cost(group: Sequence[Result]) -> dict[str, float]:
    keys = set.intersection(*(set(result.cost) for result in group))
    means = {key: sum(result.cost[key] for result in group) / len(group) for key in sorted(keys)}
    return {"minutes": means.pop("seconds") / 60, **means}


def by_strategy(made: Board) -> Mapping[str, BoardRow]:
    """Rows by name."""
    return {row.strategy: row for row in made.rows}
