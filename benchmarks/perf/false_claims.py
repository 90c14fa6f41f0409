"""How often tables of rows that are equal claim a difference, what differences are found, and how
long the simultaneous intervals take.

    python benchmarks/perf/false_claims.py

Every row has the same true mean. `wide` rows deviate 1 to 8 times as much as each other, evenly in
ratios; `one wide`: one row 8 times as much as all others. Results go to
benchmarks/perf/false_claims.json and, rounded, into docs/explanation/statistics.md.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from discl.harness.leaderboard.power import told_apart  # noqa: E402
from discl.harness.leaderboard.simultaneous import all_pairs  # noqa: E402
from discl.harness.leaderboard.statistics import estimate  # noqa: E402

Rng = np.random.Generator
Table = np.ndarray[Any, np.dtype[np.float64]]
SHAPES: dict[str, Callable[[Rng, tuple[int, int]], Table]] = {  # mean 0, deviation about 1
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.exponential(size=size) - 1,
    "two humps": lambda rng, size: 2.0 * (rng.random(size) < 0.5) - 1 + 0.1 * rng.normal(size=size),
    "zeros": lambda rng, size: (
        np.where(rng.random(size) < 0.5, 0, rng.exponential(size=size)) - 0.5
    ),
    "ties": lambda rng, size: np.round(rng.normal(size=size)),
}
# not looked at while the rule was chosen: they judge it
FRESH: dict[str, Callable[[Rng, tuple[int, int]], Table]] = {
    "heavy tails": lambda rng, size: rng.standard_t(3, size=size) / 3**0.5,
    "flat": lambda rng, size: rng.uniform(-(3**0.5), 3**0.5, size=size),
    "lognormal": lambda rng, size: (rng.lognormal(sigma=0.8, size=size) - np.exp(0.32)) / 1.3,
    "collapses": lambda rng, size: (
        0.5 + np.where(rng.random(size) < 0.1, -5.0, 0.4 * rng.normal(size=size))
    ),
}


def spreads(rows: int) -> dict[str, Table]:
    """Name -> standard deviations of the rows."""
    return {
        "equal": np.ones(rows),
        "wide": np.geomspace(1, 8, rows),
        "one wide": np.r_[np.ones(rows - 1), 8.0],
    }


def simulate(tables: int, rows: int, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Percent of tables with a false claim; `held`: where 5 % are promised."""
    rng = np.random.default_rng(0)
    for name, deviations in spreads(rows).items():
        for shape, draw in (SHAPES | FRESH).items():
            for n in seeds:
                false = paired = 0
                for _ in range(tables):
                    table = draw(rng, (rows, n)) * deviations[:, None]
                    false += _claims(table)
                    paired += _paired_claims(table) if tables <= 1_000 else 0
                promised = name == "equal" or shape in ("normal", "ties")
                fresh = shape in FRESH
                yield {
                    "rows": rows,
                    "spreads": name,
                    "shape": shape,
                    "seeds": n,
                    "percent": round(100 * false / tables, 1),
                    "uncorrected": round(100 * paired / tables, 1),
                    "held": promised,
                    "fresh": fresh,
                }


def _claims(table: Table) -> bool:
    made = all_pairs({str(at): dict(enumerate(row)) for at, row in enumerate(table.tolist())})
    return bool((np.abs(made.difference) > made.half_width).any())


def _paired_claims(table: Table) -> bool:
    """What an interval for each pair alone would claim."""
    return any(
        estimate((table[a] - table[b]).tolist()).excludes_zero()
        for a in range(len(table))
        for b in range(a)
    )


def power(tables: int, rows: int, seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
    """How often a difference that power says is told apart is."""
    rng = np.random.default_rng(1)
    for n in seeds:
        size = told_apart(n, 1.0, rows)
        found = 0
        for _ in range(tables):
            table = rng.normal(size=(rows, n))
            table[0] += size
            made = all_pairs({str(at): dict(enumerate(row)) for at, row in enumerate(table)})
            found += made.between("0", "1").excludes_zero()
        yield {"seeds": n, "deviations": round(size, 2), "found": round(100 * found / tables)}


def speed() -> float:
    """Seconds for 12 strategies, 20 seeds and 12 metrics, in a process that did none before."""
    rng = np.random.default_rng(0)
    metrics = [
        {str(at): dict(enumerate(rng.normal(size=20).tolist())) for at in range(12)}
        for _ in range(12)
    ]
    estimate([0.1, 0.2])  # a table does that anyway: it imports scipy.special
    began = time.perf_counter()
    for values in metrics:
        all_pairs(values).places()
    return round(time.perf_counter() - began, 3)


@click.command()
@click.option("--tables", default=1_000, show_default=True, help="Tables of a cell.")
def main(tables: int) -> None:
    """Measure."""
    from _report import report

    seconds = speed()
    claims = [row for rows in (3, 9) for row in simulate(tables, rows, (3, 5, 10, 20))]
    found = list(power(tables, 9, (3, 5, 10, 20)))
    report(
        Path(__file__).with_suffix(".json"),
        "false_claims",
        {"tables": tables, "seconds_12x20x12": seconds, "claims": claims, "power": found},
    )


if __name__ == "__main__":
    main()
