"""What it costs to look at a store of 2,000 runs: the board, the report, the list; beside merely
parsing the same files.

    python benchmarks/perf/looking.py

The runs are whole but not trained (tests/results.py): four strategies, 500 seeds. Results go to
benchmarks/perf/looking.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
from _report import report

ROOT = Path(__file__).parents[2]
STRATEGIES = ("static", "all_levels", "real_rebalanced", "real_only")
ASKED = ("cifar10_lt", "--strategies", ",".join(STRATEGIES), "--set", "generator.name=blend")
COMMANDS = {
    "leaderboard": ("leaderboard", *ASKED),
    "report_without_pictures": ("report", *ASKED, "--no-pictures", "-o", "report.html"),
    "runs_ls": ("runs", "ls"),
    "runs_ls_all": ("runs", "ls", "--most", "0"),
}


@click.command()
@click.option("--runs", default=2_000, show_default=True)
@click.option("--rounds", default=3, show_default=True, help="Of which the fastest counts.")
def main(runs: int, rounds: int) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCL_HOME"] = folder
        os.chdir(folder)
        _fill(runs)
        paths = sorted(Path(folder, "runs").glob("*/*/result.json"))
        floor = _fastest(lambda: [json.loads(path.read_text("utf-8")) for path in paths], rounds)
        seconds_of = {
            name: _fastest(lambda words=words: _command(words), rounds)
            for name, words in COMMANDS.items()
        }
        bytes_each = sum(path.stat().st_size for path in paths) // len(paths)
    times = {
        name: {"seconds": round(seconds, 2), "times_parsing": round(seconds / floor, 2)}
        for name, seconds in seconds_of.items()
    }
    report(
        Path(__file__).with_suffix(".json"),
        "looking",
        {"runs": runs, "bytes_each": bytes_each, "parsing_s": round(floor, 2), **times},
    )


def _fill(runs: int) -> None:
    sys.path.insert(0, str(ROOT))
    from discl.config.experiment import experiments
    from discl.harness.run.store import Store
    from tests import results

    spec = results.spec().model_copy(
        update={"strategies": list(STRATEGIES), "seeds": list(range(runs // len(STRATEGIES)))}
    )
    store = Store()
    for experiment in experiments(spec):
        results.store(experiment, 2.5 - 0.25 * STRATEGIES.index(experiment.strategy), store)


def _command(words: Sequence[str]) -> None:
    """In a process of its own, as people do; the start is part of it."""
    subprocess.run([sys.executable, "-m", "discl.cli", *words], check=True, capture_output=True)


def _fastest(work: Callable[[], object], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


if __name__ == "__main__":
    main()
