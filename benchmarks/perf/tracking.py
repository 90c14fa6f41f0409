"""Measures what W&B costs a run while its server refuses connections or never answers.

    python benchmarks/perf/tracking.py                 # 12 rounds of 4 trainings
    python benchmarks/perf/tracking.py --rounds 24 --epochs 20

They are trained in turn, every place in a round as often by each, and compared within the round; a
second training without a tracker says how far two equal trainings differ on this machine.
`processor` is what the training process itself used, so it says little of other load on the
machine; `wall` says everything, the wait at the end of the process included. `calls` is the time
inside the tracker itself. A child process uploads; its processor time stands apart.
"""

from __future__ import annotations

import gc
import os
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import click
from _report import report

from discl.config.benchmark import Benchmark
from discl.config.load import load
from discl.files.disk import data_home
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep
from discl.parts.trackers.wandb import Wandb

NOBODY = "http://127.0.0.1:9"
KINDS = ("no tracker", "no tracker again", "refused", "hanging")


class Took(NamedTuple):
    """One training, in seconds."""

    wall: float
    processor: float
    calls: float  # of wall, inside the tracker
    waited: float  # of wall, for uploads at the end
    child: float  # processor time of the child that uploads


@click.command()
@click.option("--rounds", default=12, show_default=True)
@click.option("--epochs", default=4, show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
def main(rounds: int, epochs: int, output: Path) -> None:
    """Train in turn with and without the tracker; medians of the ratios within rounds are printed
    and written to --output.
    """
    import torch

    torch.set_num_threads(1)
    os.environ["DISCL_DATA"] = str(data_home().absolute())
    os.environ.update(WANDB_API_KEY="0" * 40, WANDB_MODE="online")
    spec = load(
        "cifar10_lt",
        settings=[
            "strategies=['real_only']",
            f"train.epochs={epochs}",
            f"train.curriculum_epochs={epochs}",
            "trackers=[]",
        ],
    )
    took: dict[str, list[Took]] = {kind: [] for kind in KINDS}
    with deaf() as hanging:
        urls = {"refused": NOBODY, "hanging": hanging}
        once(spec, None)  # the first training reads and compiles what the others find
        for number in range(rounds):
            turned = KINDS[number % len(KINDS) :] + KINDS[: number % len(KINDS)]
            for kind in turned if number // len(KINDS) % 2 else turned[::-1]:
                gc.collect()
                took[kind].append(once(spec, urls.get(kind)))
                click.echo(f"round {number}: {kind}: {took[kind][-1]}", err=True)
    for kind in KINDS[1:]:
        report(output, kind, compared(took["no tracker"], took[kind], epochs))


class Timed:
    """The tracker with a watch."""

    version = 1

    def __init__(self) -> None:
        self.inner = Wandb()
        self.spent = 0.0

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*given: Any) -> None:
            began = time.perf_counter()
            getattr(self.inner, name)(*given)
            self.spent += time.perf_counter() - began

        return call


def once(spec: Benchmark, url: str | None) -> Took:
    """One training in a home of its own, with W&B at `url` or without a tracker."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DISCL_HOME"] = folder
        os.environ["WANDB_BASE_URL"] = url or NOBODY
        tracker = CompositeTracker.of([])
        tracker = Timed()
        if url:
            tracker.trackers.append(tracker)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = time.perf_counter()
        processor = time.process_time()
        list(sweep(spec, Store(), tracker))
        ended = time.perf_counter()
        calls = tracker.spent
        tracker.inner.close()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        now = time.perf_counter()
        children = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Took(now - wall, time.process_time() - processor, calls, now - ended, children)


@contextmanager
def deaf() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def compared(without: list[Took], tracked: list[Took], epochs: int) -> dict[str, float | int]:
    """Medians over rounds."""
    return {
        "rounds": len(without),
        "epochs": epochs,
        "wall_seconds_without": round(statistics.median(took.wall for took in without), 2),
        "wall_ratio": ratio([took.wall for took in without], [took.wall for took in tracked]),
        "processor_ratio": ratio(
            [took.processor for took in without], [took.processor for took in tracked]
        ),
        "processor_ratio_of_the_fastest": round(
            min(took.processor for took in tracked) / min(took.processor for took in without), 4
        ),
        "tracker_calls_share_of_wall": round(
            statistics.median(took.calls / took.wall for took in tracked), 6
        ),
        "waited_at_the_end_seconds": round(statistics.median(took.waited for took in tracked), 2),
        "mirror_processor_seconds": round(statistics.median(took.child for took in tracked), 2),
    }


def ratio(without: list[float], tracked: list[float]) -> float:
    """Median of the ratios within rounds."""
    return round(statistics.median(b / a for a, b in zip(without, tracked, strict=True)), 4)


if __name__ == "__main__":
    main()
