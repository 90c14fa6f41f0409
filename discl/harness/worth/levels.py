"""The worth of levels: a short run for each level alone, and what it is worth on val."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from discl.config import load as benchmarks
from discl.config import sweep_expand
from discl.config.benchmark import Benchmark
from discl.config.part_cache import PartCache
from discl.config.sweep import Point, SweepFile
from discl.config.toml import parse_setting
from discl.core.conventions import LAST
from discl.core.errors import UserError, shown
from discl.core.levels import PHOTO, Counting, check_levels
from discl.core.result import Result
from discl.harness.leaderboard import statistics
from discl.harness.leaderboard.statistics import Estimate
from discl.harness.run import events
from discl.harness.run.store import Store
from discl.harness.worth.proposal import Proposal, propose

CANDIDATES = tuple(range(0, PHOTO, 10))
SEEDS = (0, 1, 2)
LEVEL = "strategy.fixed.level"  # the setting that names the level of a run
# settings that a curve decides itself, with what says it instead
_DECIDED = {
    "levels": "give --candidates",
    LEVEL: "give --candidates",
    "strategies": "its runs have the strategy 'fixed'; leave it out",
    "seeds": "give --seeds",
    "train.epochs": "give --epochs",
    "train.curriculum_epochs": "its runs end with no photos alone; leave it out, or give --epochs",
}
_INSTEAD = "the worth of levels is measured by runs that decide this themselves"
METRICS = {"val/few_acc": "few", "val/macro_acc": "all"}  # the first that all runs have proposes


@dataclass(frozen=True)
class LevelWorth:
    """Runs that were trained on one level alone; 100 = on photos alone, rebalanced."""

    level: int
    metrics: dict[str, Estimate]  # fractions, at the last epoch
    by_seed: dict[str, dict[int, float]]  # metric -> seed -> value


@dataclass(frozen=True)
class WorthCurve:
    """What each level is worth alone, and the levels that follow from it."""

    benchmark: str
    scale: str
    epochs: int
    metric: str  # that the proposal goes by
    levels: tuple[LevelWorth, ...]
    proposal: Proposal


def worth_sweep(
    name: str,
    scale: str,
    settings: Sequence[str] = (),
    candidates: Sequence[int] = CANDIDATES,
    seeds: Sequence[int] = SEEDS,
    epochs: int = 0,
) -> SweepFile:
    """The runs of a benchmark's worth curve as a sweep: every candidate and the photo, each seed.

    A run follows the benchmark's recipe for `epochs` epochs, 0 = half of its own, and has no phase
    of photos alone at its end, which would hide what the level is worth. Raises UserError where
    candidates repeat or start at the same denoising step, one seed gives no interval, or a setting
    is one that the curve decides.
    """
    given = dict(map(parse_setting, settings))
    for path in _DECIDED.keys() & given.keys():
        raise UserError(f"--set {path}={shown(given[path])}: {_INSTEAD}; {_DECIDED[path]}")
    bench = benchmarks.load(name, scale, settings)
    levels = _checked(bench, candidates)
    if len({*seeds}) < max(2, len(seeds)):
        listed = ",".join(map(str, seeds))
        raise UserError(
            f"--seeds {listed}: levels are told apart by their spread over seeds, which takes two"
            " different ones; give e.g. --seeds 0,1,2"
        )
    epochs = epochs or max(1, bench.train.epochs // 2)
    return SweepFile(
        name=f"levels of {name}",
        title="Worth of levels",
        benchmark=name,
        scale=scale,
        strategies=["fixed"],
        seeds=list(seeds),
        set={
            **given,
            "levels": [*levels, PHOTO],
            "train.epochs": epochs,
            "train.curriculum_epochs": epochs,
        },
        grid={LEVEL: [*levels, PHOTO]},
    )


def _checked(bench: Benchmark, candidates: Sequence[int]) -> tuple[int, ...]:
    """The candidates in ascending order, the photo left out."""
    listed = [level for level in candidates if level != PHOTO]
    try:
        levels = check_levels(listed, generator_counting(bench))
    except UserError as error:
        raise UserError(f"--candidates: {error}") from error
    if len(levels) < 2:
        raise UserError(
            f"--candidates {','.join(map(str, candidates))}: a curve takes two levels below 100;"
            " give e.g. --candidates 0,30,60"
        )
    return levels


def generator_counting(bench: Benchmark) -> Counting:
    """How the benchmark's generator counts levels."""
    return PartCache().get(bench.choices["generators"]).counting(bench.bank.size)


def worth_points(sweep: SweepFile) -> list[Point]:
    """The runs; raises UserError where an experiment is wrong."""
    at = [
        {LEVEL: level, "strategy": "fixed", "seed": seed}
        for seed in sweep.seeds
        for level in sweep.grid[LEVEL]
    ]
    return list(sweep_expand.unnamed_points(sweep, at))


def read_worth(
    sweep: SweepFile,
    points: Sequence[Point],
    results: Mapping[str, Result],
    store: Store,
    count: int = 0,
) -> WorthCurve:
    """The curve, from the last epoch of every run on val, and `count` levels that follow from it.

    0 = as many as the benchmark has. Val measures every epoch; the last is read whatever rule the
    benchmark has, so that no run is read where it was luckiest. Raises UserError where val has
    neither few-shot nor macro accuracy.
    """
    by_level: dict[int, dict[int, Mapping[str, float]]] = {}
    for point in points:
        result = results[point.experiment.id()]
        reports = events.epochs(store.folder(result))
        values = reports[-1].values if reports else result.under(LAST.name).metrics
        by_level.setdefault(int(point.at[LEVEL]), {})[result.seed] = values
    measured = [
        metric
        for metric in METRICS
        if all(metric in values for seeds in by_level.values() for values in seeds.values())
    ]
    if not measured:
        raise UserError(
            f"the val photos of {sweep.benchmark} give neither {' nor '.join(METRICS)}, so the"
            " worth of a level cannot be read"
        )
    scores = {
        metric: {
            level: {seed: values[metric] for seed, values in sorted(seeds.items())}
            for level, seeds in sorted(by_level.items())
        }
        for metric in measured
    }
    bench = points[0].experiment.benchmark
    own = benchmarks.load(sweep.benchmark, sweep.scale)
    first = {level: list(seeds.values()) for level, seeds in scores[measured[0]].items()}
    return WorthCurve(
        benchmark=sweep.benchmark,
        scale=sweep.scale,
        epochs=bench.train.epochs,
        metric=measured[0],
        levels=tuple(
            LevelWorth(
                level,
                {m: statistics.estimate(list(scores[m][level].values())) for m in measured},
                {m: scores[m][level] for m in measured},
            )
            for level in sorted(by_level)
        ),
        proposal=propose(first, max(3, count or len(own.levels)), generator_counting(bench)),
    )


def worth_json(curve: WorthCurve) -> dict[str, Any]:
    """The curve in plain values."""
    plain = asdict(curve)
    plain["proposal"] = curve.proposal._asdict()
    for row, level in zip(plain["levels"], curve.levels, strict=True):
        row["metrics"] = {metric: value._asdict() for metric, value in level.metrics.items()}
    return plain
