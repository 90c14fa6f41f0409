"""How often the interval of a mean holds the true one, shown intervals beside Student's alone.

    python benchmarks/perf/coverage.py

Tables of nine rows alike. Results go to benchmarks/perf/coverage.json and, rounded, into
docs/explanation/statistics.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from discl.harness.leaderboard.statistics import believable_spread, estimate  # noqa: E402

Rng = np.random.Generator
Table = np.ndarray[Any, np.dtype[np.float64]]
ROWS = 9
SHAPES: dict[str, tuple[float, Callable[[Rng, tuple[int, int]], Table]]] = {  # true mean, draws
    "normal": (0.0, lambda rng, size: rng.normal(size=size)),
    "two humps": (  # a third of runs in the upper one
        1 / 3,
        lambda rng, size: (rng.random(size) < 1 / 3) + 0.05 * rng.normal(size=size),
    ),
    "half zeros": (
        0.5,
        lambda rng, size: np.where(rng.random(size) < 0.5, 0.0, rng.exponential(size=size)),
    ),
}


def coverage(shape: str, seeds: int, tables: int) -> dict[str, Any]:
    """Percent of intervals that hold, of all and of those shown, and percent that are not shown.

    An interval without width, where all seeds are alike, holds nothing.
    """
    truth, draw = SHAPES[shape]
    rng = np.random.default_rng(0)
    every: list[bool] = []
    shown: list[bool] = []
    for _ in range(tables):
        table = draw(rng, (ROWS, seeds))
        least = believable_spread(table)
        for row in table:
            made = estimate(row.tolist())
            holds = made.half_width is not None and abs(made.mean - truth) <= made.half_width
            every.append(holds)
            if made.half_width is not None and float(np.std(row, ddof=1)) >= least:
                shown.append(holds)
    return {
        "shape": shape,
        "seeds": seeds,
        "student": round(100 * float(np.mean(every)), 1),
        "shown": round(100 * float(np.mean(shown)), 1),
        "not_shown": round(100 * (1 - len(shown) / len(every)), 1),
    }


@click.command()
@click.option("--tables", default=2_000, show_default=True, help="Tables of a cell.")
def main(tables: int) -> None:
    """Measure."""
    from _report import report

    cells = [coverage(shape, seeds, tables) for shape in SHAPES for seeds in (3, 5, 10, 20)]
    report(Path(__file__).with_suffix(".json"), "coverage", {"tables": tables, "cells": cells})


if __name__ == "__main__":
    main()
