"""Runs that begin from a start, on 600 photos and a network of a few thousand weights."""

from __future__ import annotations

from pathlib import Path

from discl.config.benchmark import Benchmark
from discl.config.load import load
from discl.core.result import Result
from discl.harness.run.store import Store
from discl.harness.run.trackers import CompositeTracker
from discl.harness.sweep.sequential import sweep

PLAIN = [
    "generator.name=blend",
    "bank.variants=1",
    "levels=[0,100]",
    "sampling.images=64",
    "train.epochs=1",
    "train.curriculum_epochs=1",
    "train.warmup_epochs=0",
    "train.evaluate_every=1",
    "train.batch=32",
    "backbone.stem_stride=4",
    "backbone.arguments={layers=[1,1,1,1], channels=[8,8,8,8], stem_type='deep', stem_width=4}",
    "trackers=[]",
]
WARM = ["train.start.strategy=real_only", "train.start.settings={epochs=2, lr=0.01}"]
STEPS = 4  # of the start: two epochs of two


def settings(photos: Path, *more: str) -> list[str]:
    """Of a tiny run on these photos, which begins from a start."""
    return [*PLAIN, *WARM, f"dataset.root={photos}", *more]


def cold(photos: Path, *more: str) -> Benchmark:
    return load("cifar100_lt", settings=[*PLAIN, f"dataset.root={photos}", *more])


def warm(photos: Path, *more: str) -> Benchmark:
    return load("cifar100_lt", settings=settings(photos, *more))


def made(spec: Benchmark) -> list[Result]:
    return list(sweep(spec, Store(), CompositeTracker.of([])))
