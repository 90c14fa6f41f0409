"""What frozen features cost, and how far their table is that of full training.

    python benchmarks/perf/frozen.py               # in a temporary $DISCL_HOME; some minutes
    python benchmarks/perf/frozen.py --home DIR    # with a bank that exists already

It runs 9 strategies with 5 seeds on cifar10_lt.

The ranks are compared with the published runs of full training in
leaderboards/results/cifar10_lt/smoke.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import numpy as np
from scipy.stats import kendalltau, spearmanr

from discl.config.load import load
from discl.core.levels import PHOTO
from discl.core.result import Result
from discl.harness.run.assembly import Bench
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep

ROOT = Path(__file__).parents[2]
TRUNKS = {
    "the shipped CLIP": ["backbone.name=open_clip"],
    "a ResNet-18 with random weights": ["backbone.stem_stride=2"],
}
METRICS = ("test/macro_acc", "test/few_acc", "ood/macro_acc", "test/adjusted_macro_acc")


@click.command()
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where bank, features and runs stay.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
@click.option("--seeds", default=5, show_default=True)
def main(home: Path | None, output: Path, seeds: int) -> None:
    """Time the grid and compare the ranks; the result is printed and written to --output."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCL_HOME"] = str(home or folder)
        by_trunk = {name: measured(trunk, seeds) for name, trunk in TRUNKS.items()}
    output.write_text(json.dumps(by_trunk, indent=1) + "\n", "utf-8")
    click.echo(json.dumps(by_trunk, indent=1))


def measured(trunk: list[str], seeds: int) -> dict[str, Any]:
    spec = load(
        "cifar10_lt",
        settings=[*trunk, "backbone.frozen=true", f"seeds={list(range(seeds))}", "trackers=[]"],
    )
    bench = Bench(spec)
    quiet = CompositeTracker.of(["console"])
    bench.dataset.prepare(quiet.progress)
    levels = [level for level in spec.levels if level != PHOTO]
    bench.fill(levels, quiet.progress)
    started = time.perf_counter()
    bench.inputs.prepare(levels, quiet.progress)
    embedded = time.perf_counter()
    results = list(sweep(spec, Store(), CompositeTracker.of([])))
    done = time.perf_counter()
    return {
        "runs": len(results),
        "embedding_s": round(embedded - started, 1),
        "training_s": round(done - embedded, 1),
        "training_s_a_run": round((done - embedded) / len(results), 2),
        "seconds_a_run_of_full_training": round(
            float(np.mean([result.cost["seconds"] for result in published()])), 1
        ),
        "agreement": {metric: agreement(results, metric) for metric in METRICS},
        "means_percent": {
            name: round(100 * mean, 1)
            for name, mean in sorted(means(results, METRICS[0]).items(), key=lambda item: -item[1])
        },
    }


def agreement(results: Iterable[Result], metric: str) -> dict[str, float]:
    """Rank correlation over strategies of the means over seeds."""
    ours, full = means(results, metric), means(published(), metric)
    names = sorted(ours)
    pairs = [ours[name] for name in names], [full[name] for name in names]
    return {
        "spearman": round(float(spearmanr(*pairs).statistic), 2),
        "spearman_p": round(float(spearmanr(*pairs).pvalue), 3),
        "kendall": round(float(kendalltau(*pairs).statistic), 2),
    }


def means(results: Iterable[Result], metric: str) -> dict[str, float]:
    by_strategy: dict[str, list[float]] = defaultdict(list)
    for result in results:
        by_strategy[result.strategy].append(result.metrics[metric])
    return {name: float(np.mean(values)) for name, values in by_strategy.items()}


def published() -> list[Result]:
    """Full training, three seeds."""
    return [
        Result.read(path)
        for path in sorted(
            (ROOT / "leaderboards" / "results" / "cifar10_lt" / "smoke").glob("*.json")
        )
    ]


if __name__ == "__main__":
    main()
