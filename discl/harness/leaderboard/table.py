"""The comparison: results grouped by strategy, with intervals, paired differences, and what they
may not be mixed with.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discl.config import commands
from discl.config.benchmark import Benchmark, Experiment, experiments
from discl.core.errors import UserError, unknown
from discl.core.result import Result
from discl.harness.leaderboard import columns, statistics
from discl.harness.leaderboard.statistics import Difference, Estimate, Summary
from discl.harness.run.store import Store

BASELINES = ("real_rebalanced", "real_only")  # compared with where nobody names others


@dataclass(frozen=True)
class Row:
    """One strategy."""

    strategy: str
    seeds: list[int]
    complete: bool  # every declared seed is there; otherwise shown, never ranked
    places: (
        tuple[int, int] | None
    )  # best and worst place by the first column, ties counted in; None = not ranked
    metrics: dict[str, Summary]
    differences: dict[str, dict[str, Difference]]  # baseline -> metric -> paired difference
    cost: dict[
        str, float
    ]  # of a run, mean: minutes, steps, and images and denoising_steps of the bank it uses
    results: list[Result]  # by seed


@dataclass(frozen=True)
class Board:
    """A table whose rows may be compared with each other."""

    benchmark: str
    scale: str
    title: str
    command: str  # that makes it
    declared_seeds: list[int]
    rows: list[Row]
    comparability: dict[str, Any]  # what all results agree on
    hardware: list[str]
    code: list[str]  # discl version and commit
    columns: dict[str, str]  # metric -> title; the first one ranks
    differences: tuple[str, ...]  # metrics that are also shown against the baselines
    baselines: tuple[str, ...]
    caption: str  # what the columns mean

    @property
    def first(self) -> str:
        """The metric that ranks."""
        return next(iter(self.columns))

    @property
    def smallest_p(self) -> float:
        """No p of this table can be smaller, however clear a difference."""
        return statistics.smallest_p(len(self.declared_seeds))


def stored_results(spec: Benchmark, store: Store) -> list[Result]:
    """The complete runs of a benchmark's experiments."""
    return [found for experiment in experiments(spec) if (found := store.find(experiment.id()))]


def with_every_seed(spec: Benchmark, store: Store) -> Benchmark:
    """`spec` with all seeds that have a complete run of it, so that a board shows everything there
    is.
    """

    def belongs(result: Result) -> bool:
        alike = (result.benchmark, result.scale) == (
            spec.name,
            spec.scale,
        ) and result.strategy in spec.strategies
        return (
            alike
            and Experiment(benchmark=spec, strategy=result.strategy, seed=result.seed).id()
            == result.id
        )

    seeds = {result.seed for result in store.complete() if belongs(result)}
    return spec.model_copy(update={"seeds": sorted(seeds)}) if seeds else spec


def board(spec: Benchmark, results: Sequence[Result], baselines: Sequence[str] = ()) -> Board:
    """Group results by strategy, best mean of the first column first; incomplete rows last.

    `baselines` are strategies others are compared with; without any, `real_rebalanced` and
    `real_only` where they are there.
    """
    if not results:
        raise UserError(
            f"no complete run of {spec.name} at scale {spec.scale} yet; run: discl bench"
            f" {spec.name} --scale {spec.scale}"
        )
    comparability = shared_comparability(results)
    shown = columns.of(results)
    groups: dict[str, list[Result]] = {}
    for result in sorted(results, key=lambda result: result.seed):
        groups.setdefault(result.strategy, []).append(result)
    for name in baselines:
        if name not in groups:
            raise unknown("baseline with a run", name, groups)
    against = tuple(baselines) or tuple(name for name in BASELINES if name in groups)
    complete = [
        name
        for name, group in groups.items()
        if {result.seed for result in group} >= set(spec.seeds)
    ]
    first = next(iter(shown.titles))
    values = {
        metric: {name: _by_seed(group, metric) for name, group in groups.items()}
        for metric in {**shown.titles, **dict.fromkeys(shown.differences)}
    }
    places = statistics.ranks(
        {name: values[first][name] for name in complete if values[first][name]}
    )
    compared = {
        base: {metric: statistics.differences(values[metric], base) for metric in shown.differences}
        for base in against
    }
    rows = [
        Row(
            strategy=name,
            seeds=[result.seed for result in group],
            complete=name in complete,
            places=places.get(name),
            metrics={metric: _summary(group, metric) for metric in shown.titles},
            differences={
                base: {metric: found[name] for metric, found in by.items()}
                for base, by in compared.items()
                if base != name
            },
            cost=_cost(group),
            results=group,
        )
        for name, group in groups.items()
    ]
    rows.sort(
        key=lambda row: (
            not row.complete,
            not row.metrics[first].mean.n,
            -row.metrics[first].mean.mean,
            row.strategy,
        )
    )
    return Board(
        benchmark=spec.name,
        scale=spec.scale,
        title=spec.title,
        command=shlex.join(
            commands.bench(spec.name, spec.scale, [], spec.seeds, commands.settings_of(spec))
        ),
        declared_seeds=list(spec.seeds),
        rows=rows,
        comparability=comparability,
        hardware=sorted(
            {
                f"{r.provenance['processor']}, {r.provenance['device']}, {r.provenance['threads']}"
                " threads"
                for r in results
            }
        ),
        code=sorted(
            {
                f"{r.provenance.get('discl', '?')} ({r.provenance.get('commit', '?')})"
                for r in results
            }
        ),
        columns=shown.titles,
        differences=shown.differences,
        baselines=against,
        caption=shown.caption,
    )


def shared_comparability(results: Sequence[Result]) -> dict[str, Any]:
    """What all results agree on; refuses a mixture, naming what differs and where."""
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


def _by_seed(group: Sequence[Result], metric: str) -> dict[int, float]:
    """What is no number was not measured."""
    return {
        result.seed: value
        for result in group
        if math.isfinite(value := result.metrics.get(metric, math.nan))
    }


def _summary(group: Sequence[Result], metric: str) -> Summary:
    return statistics.summary(
        [*_by_seed(group, metric).values()],
        [result.errors[metric] for result in group if metric in result.errors],
    )


def _cost(group: Sequence[Result]) -> dict[str, float]:
    keys = set.intersection(*(set(result.cost) for result in group))
    means = {key: sum(result.cost[key] for result in group) / len(group) for key in sorted(keys)}
    return {"minutes": means.pop("seconds") / 60, **means}


# ---------------------------------------------------------------- one number as text


def percent(value: Estimate, signed: bool = False) -> str:
    """'37.3 ± 0.8', in percent; '-' where there is nothing."""
    if value.n == 0 or math.isnan(value.mean):
        return "-"
    text = f"{100 * value.mean:+.1f}" if signed else f"{100 * value.mean:.1f}"
    return text if value.half_width is None else f"{text} ± {100 * value.half_width:.1f}"


def placed(row: Row) -> str:
    """'1', '2-5' where the intervals cannot tell, '-' where a row is not ranked."""
    if row.places is None:
        return "-"
    best, worst = row.places
    return str(best) if best == worst else f"{best}-{worst}"


def columns_of_differences(made: Board) -> list[tuple[str, str]]:
    """(baseline, metric) of every column with differences."""
    return [
        (base, metric)
        for base in made.baselines
        for metric in made.differences
        if any(base in row.differences for row in made.rows)
    ]


def header(made: Board) -> list[str]:
    """Column titles of the table."""
    return [
        "place",
        "strategy",
        "n",
        *made.columns.values(),
        *(f"Δ {made.columns[m]} to {base}" for base, m in columns_of_differences(made)),
    ]


def lines(made: Board) -> list[list[str]]:
    """The table's cells as text. A difference whose interval excludes zero carries a star."""
    return [_line(row, made) for row in made.rows]


def _line(row: Row, made: Board) -> list[str]:
    cells = [
        placed(row),
        row.strategy + ("" if row.complete else " (incomplete)"),
        f"{len(row.seeds)}",
    ]
    cells += [percent(row.metrics[metric].mean) for metric in made.columns]
    for base, metric in columns_of_differences(made):
        found = row.differences.get(base, {}).get(metric)
        cells.append(
            percent(found.mean, signed=True) + ("*" if found.mean.excludes_zero() else "")
            if found
            else "-"
        )
    return cells


def reading(made: Board) -> str:
    """What the numbers of the table mean, as sentences."""
    n = len(made.declared_seeds)
    least = (
        f"No sign-flip p of {n} seeds can be below {made.smallest_p:.3g}. "
        if n > 1
        else "One seed tells nothing apart. "
    )
    return (
        f"Percent; mean ± half the 95 % Student-t interval over seeds. {made.caption} Δ is the"
        " difference paired by seed; * marks an interval that excludes zero (no correction for the"
        " number of rows). A place is a range where the intervals of paired differences cannot"
        f" tell rows apart. {least}Epochs are chosen on val; test is read once."
    )


def source_of_error(made: Board) -> str:
    """How far the first column might be off, for the two reasons apart, over the complete rows."""
    held = [row.metrics[made.first] for row in made.rows if row.complete]
    seeds = [one.seed_sd for one in held if one.seed_sd is not None]
    photos = [one.test_se for one in held if one.test_se is not None]
    if not seeds or not photos:
        return ""
    return (
        f"Of `{made.columns[made.first]}`, another seed moves a run by {_points(seeds)} points"
        " (standard deviation over seeds), another draw of as many test photos by"
        f" {_points(photos)} (standard error, in no interval above)."
    )


def _points(values: Sequence[float]) -> str:
    low = 100 * min(values)
    high = 100 * max(values)
    return f"{low:.1f} to {high:.1f}" if f"{low:.1f}" != f"{high:.1f}" else f"{low:.1f}"


def comparability_line(made: Board) -> str:
    """'bank `..`, comparison `..`'"""
    return ", ".join(f"{key} `{value}`" for key, value in sorted(made.comparability.items()))


def by_strategy(made: Board) -> Mapping[str, Row]:
    """Rows by name."""
    return {row.strategy: row for row in made.rows}
