"""How long work takes on this machine: measured on a little of it, once, and remembered under
$DISCL_HOME.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from discl import __version__
from discl.core.hashing import short
from discl.core.interfaces import Request
from discl.engine.training import distributed
from discl.files.disk import folder_lock, home, write_text
from discl.harness.run.assembly import Bench
from discl.harness.run.provenance import processor


def seconds_per_denoising_step(bench: Bench, images: int = 16) -> float:
    """Seconds an image and step takes when `images` are made together; the first, slower, call is
    not counted.
    """
    what = [
        "denoising",
        bench.spec.part("generators").identity(),
        bench.generator.identity(),
        bench.spec.bank.size,
        images,
    ]
    (seconds,) = _remembered(what, lambda: [_denoising_s(bench, images)])
    return seconds


def _denoising_s(bench: Bench, images: int) -> float:
    sources = bench.sources_of(
        np.arange(images) % len(bench.train)
    )  # any photos will do: which ones are hard may not be known yet
    photos = np.asarray(sources.photos)
    requests = [
        Request(0, f"a photo of {bench.dataset.classes[0]}", seed) for seed in range(images)
    ]
    bench.generator.make(requests[:1], photos[:1])
    started = time.perf_counter()
    bench.generator.make(requests, photos)
    return (time.perf_counter() - started) / (images * bench.generator.steps)


SAMPLE_S = 0.3  # of steps at least: those of a head on frozen features take a millisecond


class Pace(NamedTuple):
    """How fast the benchmark's network learns here."""

    step_s: float  # seconds an optimiser step
    look_s: float  # seconds a photo that is only looked at


def pace(bench: Bench, batches: int = 4) -> Pace:
    """Time a few steps, and a look at a part of val."""
    spec = bench.spec
    what = [
        "learning",
        spec.part("datasets").identity(),
        spec.part("backbones").identity(),
        spec.train.batch,
        spec.train.crop,
        batches,
    ]
    return Pace(*_remembered(what, lambda: _learning_s(bench, batches)))


def _learning_s(bench: Bench, batches: int) -> Pace:
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
    took = list[float]()
    while len(took) <= batches or sum(took) < SAMPLE_S:
        started = time.perf_counter()
        optimiser.zero_grad()
        network(inputs.preprocess(photos.to(device))).square().mean().backward()
        optimiser.step()
        took.append(time.perf_counter() - started)
    step_s = float(np.median(took[1:]))  # the first one is slower
    started = time.perf_counter()
    logits_of(network, val.pixels[:500], inputs.preprocess, device)
    return Pace(step_s, (time.perf_counter() - started) / min(500, len(val)))


def _remembered(what: list[object], measure: Callable[[], Sequence[float]]) -> list[float]:
    """What was measured of this on this machine before, or else is now: it takes seconds, most of
    them imports.
    """
    path = home() / "paces.json"
    machine = [
        processor(),
        os.environ.get("CUDA_VISIBLE_DEVICES"),
        os.environ.get("OMP_NUM_THREADS"),
        __version__,
    ]
    key = short([what, machine])
    with folder_lock(home() / "paces"):
        try:
            known = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            known = {}
        if key not in known:
            known[key] = list(measure())
            write_text(path, json.dumps(known) + "\n")
        return [float(seconds) for seconds in known[key]]


def seconds_per_run(bench: Bench, learning: Pace) -> float:
    """Seconds of one run: its optimiser steps, its looks at val, and the final predictions."""
    spec = bench.spec
    looks = spec.train.epochs // spec.train.evaluate_every * len(bench.dataset.split("val"))
    final = sum(len(bench.dataset.split(name)) for name in bench.dataset.splits if name != "train")
    steps = spec.train.epochs * (bench.epoch_images // spec.train.batch)
    return steps * learning.step_s + (looks + final) * learning.look_s
