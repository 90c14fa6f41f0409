"""What a training step, an epoch's metrics, a large metadata file and frozen features cost, against
the honest alternatives.

    python benchmarks/perf/train.py                # all of it; minutes on two cores
    python benchmarks/perf/train.py step --steps 100

The step is timed against a bare loop over tensors in memory: same network, same optimiser, same
batches, nothing else.
"""

from __future__ import annotations

import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from _report import report
from torch import nn

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.config.metrics import bound, built
from discl.core.interfaces import Split, Task
from discl.core.registry import bind
from discl.engine.evaluation.metrics import split_metrics
from discl.engine.evaluation.predict import Normaliser
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.distributed import device
from discl.engine.training.loop import Fit
from discl.engine.training.sampler import SamplerView, Targets
from discl.parts.datasets.iwildcam import read_metadata

CLASSES, PHOTOS, BATCH = 10, 2560, 64
METRICS = built(bound([], {}, {}))
MODELS = {
    "resnet10t, 32 px": (32, {"model": "resnet10t"}),
    "cifar10_lt smoke, 32 px": (
        32,
        {
            "model": "resnet18",
            "stem_stride": 2,
            "arguments": {
                "layers": [1, 1, 1, 1],
                "channels": [32, 64, 96, 128],
                "stem_type": "deep",
                "stem_width": 16,
            },
        },
    ),
}


@click.group(invoke_without_command=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
@click.pass_context
def main(context: click.Context, output: Path) -> None:
    """Measure; every result is printed and merged into --output."""
    context.obj = output
    if context.invoked_subcommand is None:
        for command in (step, metrics, metadata):
            context.invoke(command)


# ---------------------------------------------------------------- a step


@main.command()
@click.option("--steps", default=40, show_default=True, help="Steps timed in each round.")
@click.option(
    "--rounds", default=5, show_default=True, help="Rounds; the two loops take turns in each."
)
@click.pass_context
def step(context: click.Context, steps: int, rounds: int) -> None:
    """The harness's training step against a bare loop on tensors in memory."""
    measured = {}
    for name, (side, parameters) in MODELS.items():
        split = photos(side)
        ours = []
        bare = []
        for _ in range(rounds):
            bare.append(bare_loop(network(parameters, side), split, steps))
            ours.append(harness_loop(network(parameters, side), split, steps))
        measured[name] = {
            "bare_ms": round(1000 * statistics.median(bare), 2),
            "ours_ms": round(1000 * statistics.median(ours), 2),
            "overhead_percent": round(
                100 * (statistics.median(ours) / statistics.median(bare) - 1), 1
            ),
            "batch": BATCH,
            "threads": torch.get_num_threads(),
            "device": device().type,
        }
    report(context.obj, "step", measured)


def photos(side: int) -> Split:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (PHOTOS, side, side, 3), dtype=np.uint8)
    labels = rng.integers(0, CLASSES, PHOTOS)
    return Split(
        np.array([f"p{i}" for i in range(PHOTOS)]), labels, np.zeros(PHOTOS, np.int64), pixels
    )


def network(parameters: dict[str, Any], side: int) -> nn.Module:
    names = tuple(map(str, range(CLASSES)))
    built: nn.Module = (
        bind("backbones", "timm", parameters)
        .build()
        .build(Task(names, tuple((name,) for name in names), side), 0)
    )
    return built


def bare_loop(net: nn.Module, split: Split, steps: int) -> float:
    """Seconds a step: float tensors that lie on the device, no augmentation, no schedule, no look
    at anything.
    """
    images = Normaliser((0.5,) * 3, (0.25,) * 3)(torch.from_numpy(split.pixels)).to(device())
    labels = torch.from_numpy(split.labels).to(device())
    net.to(device()).train()
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.05)

    def train(number: int) -> None:
        start = number % (PHOTOS // BATCH) * BATCH
        rows = slice(start, start + BATCH)
        optimiser.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
        optimiser.step()

    return timed(train, steps)


def harness_loop(net: nn.Module, split: Split, steps: int) -> float:
    """Seconds a step of `Fit`: plan, gathering, translation and mirroring, normalising, schedule,
    checks.
    """
    tail = SamplerView(split.labels, np.bincount(split.labels)[split.labels] < 1)
    config = TrainConfig(2, 0, BATCH, 1e-4, 0.05, "adamw", 0, 4, True, 1000, precision="float32")
    training_data = TrainingData(
        split,
        tail,
        CLASSES,
        (100,),
        {},
        {},
        Split(
            *(column[:BATCH] for column in (split.ids, split.labels, split.groups, split.pixels))
        ),
        metrics=METRICS,
    )
    marks: list[float] = []

    def mark(state: Callable[[], dict[str, Any]]) -> None:
        if device().type == "cuda" and len(marks) in (5, 5 + steps):
            torch.cuda.synchronize()
        marks.append(time.perf_counter())

    parts = bind("strategies", "real_only", {}).build(), bind("losses", "ce", {}).build()
    fit = Fit(
        net,
        *parts,
        training_data,
        config,
        Targets((steps + 8) * BATCH, 0.1, 10),
        Normaliser((0.5,) * 3, (0.25,) * 3),
        0,
        device(),
        mark,
    )
    next(iter(fit))
    return (marks[5 + steps] - marks[5]) / steps


def timed(train: Callable[[int], None], steps: int) -> float:
    for number in range(5):
        train(number)
    if device().type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    for number in range(steps):
        train(number)
    if device().type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


# ---------------------------------------------------------------- metrics


@main.command()
@click.pass_context
def metrics(context: click.Context) -> None:
    """An epoch's metrics over 50,000 photos and 1,000 classes, against sorting and looping as
    evaluators often do.
    """
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 1000, 50_000)
    logits = rng.normal(size=(50_000, 1000)).astype(np.float32)
    counts = rng.integers(1, 500, 1000)
    guess = logits.argmax(1)
    ours = best(lambda: split_metrics(truth, guess, counts, METRICS))
    with_argmax = best(lambda: split_metrics(truth, logits.argmax(1), counts, METRICS))
    looped = best(lambda: sorted_and_looped(truth, logits), 1)
    measured = {
        "metrics_s": ours,
        "with_argmax_s": with_argmax,
        "sorted_and_looped_s": looped,
        "times_faster": round(looped / with_argmax, 1),
    }
    report(context.obj, "metrics", measured)


def sorted_and_looped(truth: Any, logits: Any) -> float:
    """Accuracy and recall of each class by a full sort of the logits and a pass over the photos for
    every class.
    """
    guess = (-logits).argsort(1)[:, 0]
    return float(
        np.mean([np.mean(guess[truth == label] == label) for label in range(logits.shape[1])])
    )


# ---------------------------------------------------------------- metadata


@main.command()
@click.option("--rows", default=200_000, show_default=True)
@click.pass_context
def metadata(context: click.Context, rows: int) -> None:
    """Splits, labels and cameras from a WILDS metadata file, against Python's csv and a parsed date
    a line.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.csv"
        written(path, rows)
        ours = best(lambda: read_metadata(path, 182), 3)
        lines = best(lambda: line_by_line(path), 1)
    report(
        context.obj,
        "metadata",
        {
            "rows": rows,
            "ours_s": ours,
            "line_by_line_s": lines,
            "times_faster": round(lines / ours, 1),
        },
    )


def written(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    splits = ("train", "val", "test", "id_val", "id_test")
    with path.open("w", newline="") as opened:
        out = csv.writer(opened)
        out.writerow(["split", "filename", "y", "location_remapped", "datetime", "image_id"])
        for i, (split, label, camera) in enumerate(
            zip(
                rng.integers(0, 5, rows),
                rng.integers(0, 182, rows),
                rng.integers(0, 323, rows),
                strict=True,
            )
        ):
            stamp = f"2013-{i % 12 + 1:02d}-{i % 28 + 1:02d} {i % 24:02d}:{i % 60:02d}:00.000"
            out.writerow(
                [
                    splits[split],
                    f"{i:08d}-21bc-11ea-a13a-137349068a90.jpg",
                    label,
                    camera,
                    stamp,
                    f"{i:08d}",
                ]
            )


def line_by_line(path: Path) -> int:
    from datetime import datetime

    with path.open(newline="") as opened:
        rows = [
            (
                row["split"],
                int(row["y"]),
                datetime.strptime(row["datetime"], "%Y-%m-%d %H:%M:%S.%f"),
            )
            for row in csv.DictReader(opened)
        ]
    return len(rows)


def best(work: Callable[[], Any], times: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return round(min(taken), 5)


if __name__ == "__main__":
    main()
