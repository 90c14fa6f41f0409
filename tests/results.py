"""Whole runs without training: predictions drawn at random, and everything a real run stores of
them, coherent to the last digit.
"""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from discl.config import commands
from discl.config.benchmark import Benchmark
from discl.config.experiment import Experiment, experiments
from discl.config.load import load
from discl.config.metrics import built
from discl.core.conventions import LAST
from discl.core.hashing import short
from discl.core.interfaces import EpochReport
from discl.core.levels import PHOTO
from discl.core.result import OF_AN_EPOCH, Result
from discl.engine.evaluation.confusion import count_predictions, pack_all, predictions_digest
from discl.engine.evaluation.metrics import (
    class_recalls,
    definitions_id,
    metrics_of,
    sampling_errors,
)
from discl.files.disk import write_text
from discl.harness.run.store import Store

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = np.array([500, 299, 179, 107, 64, 38, 23, 13, 8, 5])
SPLITS = {"val": 100, "test": 200, "ood/fog-1": 100, "ood/jpeg-3": 100}
PROVENANCE = {
    "discl": "0.1.0",
    "commit": "0123456789ab",
    "date": "2026-11-01T00:00:00Z",
    "processor": "none",
    "device": "cpu",
    "threads": 1,
}


@functools.cache
def spec(*settings: str) -> Benchmark:
    """cifar10_lt at smoke, whose images a blend makes."""
    return load("cifar10_lt", settings=["generator.name=blend", *settings])


def predictions(experiment: Experiment, skill: float) -> dict[str, Any]:
    """Logits that are right more often with more skill, and less often for a rare class."""
    saved: dict[str, Any] = {}
    for split, photos in SPLITS.items():
        # photos are the benchmark's, noise is the run's
        rng = np.random.default_rng([len(split), sum(map(ord, split))])
        labels = rng.permutation(np.arange(photos) % len(CLASSES))
        noise = np.random.default_rng(
            [experiment.seed, *map(ord, experiment.strategy), len(split)]
        ).normal(size=(photos, len(CLASSES)))
        logits = noise + np.log(COUNTS)[None, :] / 3
        logits[np.arange(photos), labels] += skill
        saved |= {f"{split}/logits": logits.astype(np.float32), f"{split}/labels": labels}
        saved[f"{split}/ids"] = np.array([f"{split}-{row:04d}" for row in range(photos)])
    return saved


def history(experiment: Experiment, skill: float) -> list[EpochReport]:
    """Reports of every epoch; levels one after the other."""
    train, levels = experiment.benchmark.train, experiment.used_levels() or (PHOTO,)
    found = []
    for epoch in range(train.epochs):
        real = epoch >= train.curriculum_epochs
        level = PHOTO if real else levels[epoch * len(levels) // train.curriculum_epochs]
        values = (
            {"val/macro_acc": 0.1 + skill / 20 + epoch / 1000, "val/few_acc": epoch / 1000}
            if not (epoch + 1) % train.evaluate_every
            else {}
        )
        gains = (
            {}
            if real or experiment.strategy != "adaptive"
            else {each: 0.01 * (each == level) for each in levels}
        )
        found.append(
            EpochReport(
                epoch,
                {level: 1.0},
                {PHOTO: 900, level: 316},
                19,
                1e-3,
                1.5,
                values,
                gains,
                real,
                2.0 - epoch / 50,
            )
        )
    return found


def result(
    experiment: Experiment, skill: float = 2.0, last: float | None = None, **changes: Any
) -> Result:
    """What a run with such predictions would have stored; `last` is its skill at the last epoch,
    where val chose another one.
    """
    saved, bench = predictions(experiment, skill), experiment.benchmark
    ended = bench.train.epochs - 1
    at_last: dict[str, Any] = {"epoch": ended}
    if last is not None:
        of_last = result(experiment, last)
        at_last |= {name: getattr(of_last, name) for name in OF_AN_EPOCH} | {"cost": {}}
    outcomes, levels = list(count_predictions(saved, COUNTS)), experiment.used_levels()
    measured = built(bench.bound_metrics())
    metrics = metrics_of(outcomes, COUNTS, measured)
    images = 26.0 * bench.bank.variants * sum(level != PHOTO for level in levels)
    synthetic = images > 0
    comparability = {
        "definitions": definitions_id(metrics, COUNTS, measured),
        "comparison": short(experiment.comparison()),
        "bank": "0123456789abcdef" if synthetic else None,
        "threshold": bench.bank.threshold if synthetic else None,
        "splits": "fedcba9876543210",
        "counts": short(COUNTS.tolist()),
    }
    seen = {PHOTO: 900 * bench.train.epochs, **{level: 316 for level in levels if level != PHOTO}}
    whole = Result(
        id=experiment.id(),
        attempt=0,
        name=experiment.name,
        benchmark=bench.name,
        scale=bench.scale,
        strategy=experiment.strategy,
        seed=experiment.seed,
        identity=experiment.identity(),
        comparability=comparability,
        metrics=metrics,
        class_recalls=class_recalls(saved, "test", 10),
        classes=list(CLASSES),
        counts=COUNTS.tolist(),
        chosen_epoch=ended if last is None else ended - bench.train.evaluate_every,
        last=at_last,
        seen=seen,
        cost={
            "steps": 570.0,
            "seconds": 45.0,
            "images_generated": 0.0,
            "images": images,
            "denoising_steps": images * 7,
        },
        provenance={**PROVENANCE, "command": shlex.join(commands.of_run(experiment))},
        confusion_counts=pack_all(outcomes),
        errors=sampling_errors(outcomes, ["test"], COUNTS, measured),
        predictions=predictions_digest(saved),
    )
    return Result(
        **{**{name: getattr(whole, name) for name in whole.__dataclass_fields__}, **changes}
    )


def store(
    experiment: Experiment,
    skill: float = 2.0,
    to: Store | None = None,
    last: float | None = None,
    **changes: Any,
) -> Result:
    """Put the whole run into the store: record, predictions, result."""
    to, made = to or Store(), result(experiment, skill, last, **changes)
    _, folder = to.new_attempt(made.id)
    config = experiment.benchmark.model_dump() | {
        "strategy": experiment.strategy,
        "seed": experiment.seed,
    }
    write_text(
        folder / "experiment.json",
        json.dumps({"identity": experiment.identity(), "config": config}) + "\n",
    )
    about = {
        "id": made.id,
        "name": made.name,
        "group": "cifar10_lt-smoke",
        "project": "discl-cifar10_lt",
        "tags": ["smoke"],
        "config": config,
    }
    events = [{"event": "start", **about, "epochs": experiment.benchmark.train.epochs}]
    events += [{"event": "epoch", **asdict(report)} for report in history(experiment, skill)]
    events += [{"event": "finish", "complete": True, "metrics": made.metrics}]
    write_text(folder / "events.jsonl", "".join(json.dumps(event) + "\n" for event in events))
    to.save_predictions(folder, predictions(experiment, skill))
    if last is not None:
        to.save_predictions(folder, predictions(experiment, last), LAST.predictions)
    to.finish(folder, made)
    return made


def sweep(
    strategies: Iterable[str] = ("static", "all_levels", "real_rebalanced", "real_only"),
    seeds: Iterable[int] = (0, 1, 2),
) -> list[Result]:
    """Strategies x seeds in the store, each strategy a little better than the next."""
    names, seeds, root = [*strategies], [*seeds], Store().root
    asked: tuple[str | int, ...] = (*names, *seeds)
    made, files = _SWEPT.get(asked, ([], {}))
    if made and not any((root / run.id).exists() for run in made):
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        return [*made]
    chosen = spec().model_copy(update={"strategies": names, "seeds": seeds})
    made = [store(each, 2.5 - 0.25 * names.index(each.strategy)) for each in experiments(chosen)]
    paths = [path for run in made for path in (root / run.id).rglob("*") if path.is_file()]
    _SWEPT[asked] = made, {path.relative_to(root): path.read_bytes() for path in paths}
    return [*made]


# what was stored for strategies and seeds: many tests begin with the same, in folders of their own
_SWEPT: dict[tuple[str | int, ...], tuple[list[Result], dict[Path, bytes]]] = {}
