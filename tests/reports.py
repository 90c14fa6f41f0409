"""Comparisons with the numbers a test wants, for charts, pages and figures."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from discl.config.experiment import Experiment
from discl.core.interfaces import EpochReport
from discl.core.result import Result
from discl.harness.leaderboard.table import board
from discl.harness.report.comparison import Comparison
from discl.harness.report.histories import Histories
from tests import results

FEW, ALL, OOD = "test/few_acc", "test/macro_acc", "ood/macro_acc"
HOSTILE = {  # what a name may hold
    "script": "</script><script>window.hacked = 1</script>",
    "quotes": "\"'><img src=x onerror='window.hacked = 2'>",
    "emoji": "naïve 🐙 ☃",
    "right to left": "‮עברית‬ العربية",
    "long": "very_" * 60,
    "separator": "two\u2028lines & <!-- a comment",
}


@functools.cache
def _plain() -> Result:
    return results.result(Experiment(results.spec(), "static", 0))


def result(strategy: str, seed: int, metrics: Mapping[str, float], **changes: Any) -> Result:
    """A whole run that scored this."""
    base = _plain()
    named = {
        "strategy": strategy,
        "seed": seed,
        "id": f"{strategy}-{seed}",
        "name": f"{strategy}-s{seed}",
    }
    kept = {"test/many_acc": 0.6, "test/medium_acc": 0.4, "test/worst_class_acc": 0.1}
    return replace(
        base,
        **{
            **named,
            "metrics": {**kept, **metrics},
            "errors": dict.fromkeys(metrics, 0.01),
            **changes,
        },
    )


def comparison_of(
    scores: Mapping[str, Sequence[float]],
    baselines: Sequence[str] = (),
    histories: Histories | None = None,
    others: Mapping[str, Sequence[float]] | None = None,
    **changes: Any,
) -> Comparison:
    """A comparison of few-shot percents by strategy, seed after seed.

    `others` are the percents over all classes and out of distribution; without them, ten more.
    """
    elsewhere = others or {
        name: [value + 10 for value in values] for name, values in scores.items()
    }
    found = [
        result(
            name,
            seed,
            {FEW: value / 100, ALL: elsewhere[name][seed] / 100, OOD: elsewhere[name][seed] / 100},
            **changes,
        )
        for name, values in scores.items()
        for seed, value in enumerate(values)
    ]
    seeds = max(map(len, scores.values()), default=1)
    return Comparison(
        board(results.spec().model_copy(update={"seeds": [*range(seeds)]}), found, baselines),
        histories or Histories(),
    )


def run(
    epochs: int,
    mix: Mapping[int, float],
    gains: Mapping[int, float] | None = None,
    val: float = 0.2,
) -> list[EpochReport]:
    """Reports of a run that always trains on the same mix."""
    return [
        EpochReport(
            epoch,
            dict(mix),
            {100: 9},
            3,
            1e-3,
            1.0,
            {"val/macro_acc": val},
            dict(gains or {}),
            False,
            2.0 - epoch / 10,
            seen_by_group={"many": 6, "medium": 1, "few": 2},
        )
        for epoch in range(epochs)
    ]
