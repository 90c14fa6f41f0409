"""How long work takes on this machine: measured on a little of it."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from discl.engine import ranks
from discl.harness.experiment import Bench
from discl.spec.kinds import Request


def seconds_per_denoising_step(bench: Bench, images: int = 16) -> float:
    """Seconds an image and step takes when `images` are made together; the first, slower, call is not counted."""
    sources = bench.sources_of(np.arange(images) % len(bench.train))  # any photos will do: which ones are hard may not be known yet
    photos = np.asarray(sources.photos)
    requests = [Request(0, f"a photo of {bench.dataset.classes[0]}", seed) for seed in range(images)]
    bench.generator.make(requests[:1], photos[:1])
    started = time.perf_counter()
    bench.generator.make(requests, photos)
    return (time.perf_counter() - started) / (images * bench.generator.steps)


class Pace(NamedTuple):
    """How fast the benchmark's network learns here."""

    step_s: float  # seconds an optimiser step
    look_s: float  # seconds a photo that is only looked at


def pace(bench: Bench, batches: int = 4) -> Pace:
    """Time a few steps, and a look at a part of val."""
    import torch

    from discl.engine.prediction import logits_of

    spec, feed, device = bench.spec, bench.feed, ranks.device()
    network, train, val = feed.network(0), feed.split("train"), feed.split("val")
    network.to(device).train()
    rows = np.arange(spec.train.batch) % len(train)
    photos = torch.from_numpy(np.array(train.pixels[rows]))
    for timed in range(batches + 1):
        if timed == 1:
            started = time.perf_counter()
        network(feed.intake(photos.to(device))).square().mean().backward()
    step_s = (time.perf_counter() - started) / batches
    started = time.perf_counter()
    logits_of(network, val.pixels[:500], feed.intake, device)
    return Pace(step_s, (time.perf_counter() - started) / min(500, len(val)))


def seconds_per_run(bench: Bench, learning: Pace) -> float:
    """Seconds of one run: its optimiser steps, its looks at val, and the final predictions."""
    spec = bench.spec
    looks = spec.train.epochs // spec.train.evaluate_every * len(bench.dataset.split("val"))
    final = sum(len(bench.dataset.split(name)) for name in bench.dataset.splits if name != "train")
    steps = spec.train.epochs * (bench.epoch_images // spec.train.batch)
    return steps * learning.step_s + (looks + final) * learning.look_s
