"""How fast this machine works: measured on a sample, once, and kept under $DISCL_HOME.

A sample grows from one image and one step, or from a small batch, for as long as it stays short, so
that settings of any size are measured in seconds; what is not done in time is not known.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from discl import __version__
from discl.core.errors import DiskError
from discl.core.hashing import short
from discl.core.interfaces import Request
from discl.core.levels import TEXT_ONLY, denoising_steps
from discl.core.seals import DamagedFileError, read_sealed, sealed_text
from discl.engine.training import distributed
from discl.files.disk import folder_lock, home, write_text
from discl.files.processes import cores
from discl.harness.run.assembly import Bench
from discl.harness.run.provenance import processor

MOST_SECONDS = 20.0  # of all samples for one estimate
LONG_SECONDS = 4.0  # of the images of a sample, about
SAMPLE_SECONDS = 0.3  # of steps at least: those of a head on frozen features take a millisecond
STEP_SECONDS = 0.5  # of a step of a sample, about; larger batches are taken for as much an image
PREDICTED = 500  # photos of val that predictions are timed on
BUSY_LOAD = 2.0  # processes a core that want to run, over the last minute
MOST_ROWS = 1024  # images of a sample's batch
MOST_PIXELS = 1 << 22  # of a sample's image: what it needs is not known, and may be all memory
_FIRST_ROWS = 16


class Patience:
    """How long the samples of one estimate may take, all together."""

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left; none where it is below 0."""
        return self._ends - time.monotonic()


class _TooSlowError(BaseException):  # no library takes it for an error of its own
    """A sample is not done in time."""


class TrainingSpeed(NamedTuple):
    """How fast the benchmark's network learns here; nan = not known."""

    step_seconds: float  # of an optimiser step
    prediction_seconds: float  # of a photo that is only predicted


def seconds_per_denoising_step(
    bench: Bench, images: int = 16, patience: Patience | None = None
) -> float:
    """Seconds an image and step takes when up to `images` are made together; nan = not known."""
    work = [
        "denoising",
        bench.spec.part("generators").identity(),
        bench.generator.identity(),
        bench.source_rule.size,
        images,
    ]
    if math.prod(bench.source_rule.size) > MOST_PIXELS:
        return math.nan
    (seconds,) = _measured_once(
        work, lambda: [_time_denoising(bench, images)], patience or Patience()
    ) or (math.nan,)
    return seconds


def _time_denoising(bench: Bench, images: int) -> float:
    steps = bench.generator.steps

    def seconds(count: int, level: int) -> float:
        """Of making so many images of a level."""
        # any photos will do: which ones are hard may not be known yet
        sources = bench.sources_of(np.arange(count) % len(bench.train))
        prompt = f"a photo of {bench.dataset.classes[0]}"
        requests = [Request(level, prompt, seed) for seed in range(count)]
        started = time.perf_counter()
        bench.generator.make(requests, np.asarray(sources.photos))
        return time.perf_counter() - started

    short = next(level for level in range(99, -1, -1) if denoising_steps(level, steps))
    first = denoising_steps(short, steps)
    seconds(1, short)  # the first call is slower
    a_step = seconds(1, short) / first  # with what an image takes beside its steps
    count = min(images, int(LONG_SECONDS / (a_step * steps)))
    if count < 1:
        return a_step
    return seconds(count, TEXT_ONLY) / (count * steps)


def training_speed(
    bench: Bench, batches: int = 4, patience: Patience | None = None
) -> TrainingSpeed:
    """Time some steps, and predictions on a part of val."""
    spec = bench.spec
    work = [
        "learning",
        spec.part("datasets").identity(),
        spec.part("backbones").identity(),
        spec.train.batch,
        spec.train.crop,
        spec.train.side,
        spec.train.channels_last,
        batches,
    ]
    found = _measured_once(work, lambda: _time_training(bench, batches), patience or Patience())
    return TrainingSpeed(*(found or (math.nan, math.nan)))


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
    layout = torch.channels_last if spec.train.channels_last else torch.contiguous_format
    network.to(memory_format=layout)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters())

    def step(photos: torch.Tensor) -> float:
        started = time.perf_counter()
        optimiser.zero_grad()
        pictures = inputs.preprocess(photos.to(device))
        if pictures.ndim == 4:
            pictures = pictures.contiguous(memory_format=layout)
        network(pictures).square().mean().backward()
        optimiser.step()
        return time.perf_counter() - started

    def batch_of(rows: int) -> torch.Tensor:
        return torch.from_numpy(np.array(train.pixels[np.arange(rows) % len(train)]))

    most = min(spec.train.batch, MOST_ROWS)
    rows = min(most, _FIRST_ROWS)
    step(batch_of(rows))  # the first one is slower
    while rows < most and 2 * step(batch_of(rows)) < STEP_SECONDS:
        rows = min(most, 2 * rows)
    photos = batch_of(rows)
    seconds = list[float]()
    while len(seconds) <= batches or sum(seconds) < SAMPLE_SECONDS:
        seconds.append(step(photos))
    step_seconds = min(seconds[1:]) * spec.train.batch / rows  # other work only slows it
    started = time.perf_counter()
    predicted = min(PREDICTED, len(val), max(1, int(PREDICTED * STEP_SECONDS / seconds[-1])))
    logits_of(network, val.pixels[:predicted], inputs.preprocess, device)
    return TrainingSpeed(step_seconds, (time.perf_counter() - started) / predicted)


def _measured_once(
    work: list[object], measure: Callable[[], Sequence[float]], patience: Patience
) -> list[float] | None:
    """A measurement of this work on this machine, made before or else now; None = not in time.

    Measuring takes seconds, most of them imports. What a busy machine gives is not kept.
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
                quiet = os.getloadavg()[0] <= BUSY_LOAD * cores()
                with _within(patience):
                    known[key] = list(measure())
                if quiet:
                    write_text(path, sealed_text(known))
    except _TooSlowError:
        return None
    except DiskError:  # nothing may be written here, and nothing needs to be
        known = _known_paces(path)
        if key not in known:
            try:
                with _within(patience):
                    known[key] = list(measure())
            except _TooSlowError:
                return None
    return known[key]


@contextmanager
def _within(patience: Patience) -> Iterator[None]:
    """Raise _TooSlowError where the block is not done in time.

    It is interrupted between two operations, and in the main thread alone; elsewhere it goes on.
    """

    def ended(*_: object) -> None:
        raise _TooSlowError

    if patience.left <= 0:
        raise _TooSlowError
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, ended)
    signal.setitimer(signal.ITIMER_REAL, patience.left)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _known_paces(path: Path) -> dict[str, list[float]]:
    """Stored measurements; none of a file that is missing or damaged: they are made again."""
    if not path.exists():
        return {}
    try:
        stored = read_sealed(path, "what it held is measured again")
        return {key: [float(each) for each in seconds] for key, seconds in stored.items()}
    except (DamagedFileError, ValueError, TypeError):
        return {}


def seconds_per_run(bench: Bench, speed: TrainingSpeed) -> float:
    """Seconds of one run: its optimiser steps, evaluations on val, and final predictions.

    These are made twice at most, at the last epoch and at the one that val chose.
    """
    train = bench.spec.train
    evaluated = math.ceil(train.epochs / train.evaluate_every) * len(bench.dataset.split("val"))
    final = sum(len(bench.dataset.split(name)) for name in bench.dataset.splits if name != "train")
    steps = train.epochs * (bench.epoch_images // train.batch)
    return steps * speed.step_seconds + (evaluated + 2 * final) * speed.prediction_seconds
