"""How fast this machine works: measured on a sample, once, and kept under $DISCL_HOME."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl import __version__
from discl.core.errors import DiskError
from discl.core.hashing import short
from discl.core.interfaces import Request
from discl.core.plain_files import plain_text
from discl.engine.training import distributed
from discl.files.disk import folder_lock, home, write_text
from discl.harness.run.assembly import Bench
from discl.harness.run.provenance import processor

SAMPLE_SECONDS = 0.3  # of steps at least: those of a head on frozen features take a millisecond
PREDICTED = 500  # photos of val that predictions are timed on


class TrainingSpeed(NamedTuple):
    """How fast the benchmark's network learns here."""

    step_seconds: float  # of an optimiser step
    prediction_seconds: float  # of a photo that is only predicted


def seconds_per_denoising_step(bench: Bench, images: int = 16) -> float:
    """Seconds an image and step takes when `images` are made together."""
    work = [
        "denoising",
        bench.spec.part("generators").identity(),
        bench.generator.identity(),
        bench.source_rule.size,
        images,
    ]
    (seconds,) = _measured_once(work, lambda: [_time_denoising(bench, images)])
    return seconds


def _time_denoising(bench: Bench, images: int) -> float:
    # any photos will do: which ones are hard may not be known yet
    sources = bench.sources_of(np.arange(images) % len(bench.train))
    photos = np.asarray(sources.photos)
    prompt = f"a photo of {bench.dataset.classes[0]}"
    requests = [Request(0, prompt, seed) for seed in range(images)]
    bench.generator.make(requests[:1], photos[:1])  # the first call is slower
    started = time.perf_counter()
    bench.generator.make(requests, photos)
    return (time.perf_counter() - started) / (images * bench.generator.steps)


def training_speed(bench: Bench, batches: int = 4) -> TrainingSpeed:
    """Time some steps, and predictions on a part of val."""
    spec = bench.spec
    work = [
        "learning",
        spec.part("datasets").identity(),
        spec.part("backbones").identity(),
        spec.train.batch,
        spec.train.crop,
        batches,
    ]
    return TrainingSpeed(*_measured_once(work, lambda: _time_training(bench, batches)))


def _time_training(bench: Bench, batches: int) -> TrainingSpeed:
    import torch

    from discl.engine.evaluation.predict import logits_of

    spec = bench.spec
    inputs = bench.inputs
    device = distributed.device()
    network = inputs.network(0)
    train = inputs.split("train")
    val = inputs.split("val")
    network.to(device).train()
    rows = np.arange(spec.train.batch) % len(train)
    photos = torch.from_numpy(np.array(train.pixels[rows]))
    optimiser = torch.optim.AdamW(network.parameters())
    seconds = list[float]()
    while len(seconds) <= batches or sum(seconds) < SAMPLE_SECONDS:
        started = time.perf_counter()
        optimiser.zero_grad()
        network(inputs.preprocess(photos.to(device))).square().mean().backward()
        optimiser.step()
        seconds.append(time.perf_counter() - started)
    step_seconds = float(np.median(seconds[1:]))  # the first one is slower
    started = time.perf_counter()
    logits_of(network, val.pixels[:PREDICTED], inputs.preprocess, device)
    predicted = min(PREDICTED, len(val))
    return TrainingSpeed(step_seconds, (time.perf_counter() - started) / predicted)


def _measured_once(work: list[object], measure: Callable[[], Sequence[float]]) -> list[float]:
    """A measurement of this work on this machine, made before or else now.

    Measuring takes seconds, most of them imports.
    """
    path = home() / "paces.json"
    machine = [
        processor(),
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        os.environ.get("OMP_NUM_THREADS"),
        __version__,
    ]
    key = short([work, machine])
    try:
        with folder_lock(home() / "paces"):
            known = _known_paces(path)
            if key not in known:
                known[key] = list(measure())
                write_text(path, json.dumps(known) + "\n")
    except DiskError:  # nothing may be written here, and nothing needs to be
        known = _known_paces(path)
        if key not in known:
            known[key] = list(measure())
    return known[key]


def _known_paces(path: Path) -> dict[str, list[float]]:
    """Stored measurements; none of a file that is missing or damaged."""
    try:
        stored = json.loads(plain_text(path))
        return {key: [float(each) for each in seconds] for key, seconds in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def seconds_per_run(bench: Bench, speed: TrainingSpeed) -> float:
    """Seconds of one run: its optimiser steps, evaluations on val, and final predictions."""
    train = bench.spec.train
    evaluated = train.epochs // train.evaluate_every * len(bench.dataset.split("val"))
    final = sum(len(bench.dataset.split(name)) for name in bench.dataset.splits if name != "train")
    steps = train.epochs * (bench.epoch_images // train.batch)
    return steps * speed.step_seconds + (evaluated + final) * speed.prediction_seconds
