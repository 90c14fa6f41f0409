"""How fast this machine works: measured on a sample, once, and kept under $DISCL_HOME.

A sample grows from one image and one step, or from a small batch, for as long as it stays short, so
that settings of any size are measured in seconds; what is not done in time is not known.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from discl import __version__
from discl.config.benchmark import Benchmark, TrainTable
from discl.config.schedule import in_epochs
from discl.core.errors import DiskError
from discl.core.hashing import short
from discl.core.interfaces import Photos, Request
from discl.core.levels import denoising_steps
from discl.core.seals import DamagedFileError, read_sealed, sealed_text
from discl.files.disk import folder_lock, home, write_text
from discl.files.photos import encode
from discl.files.processes import cores
from discl.harness.run.assembly import Bench
from discl.harness.run.provenance import processor
from discl.harness.sweep.training_sample import TrainingSample

MOST_SECONDS = 20.0  # of all samples for one estimate
LONG_SECONDS = 4.0  # of the images of a sample, about
SAMPLE_SECONDS = 0.3  # of steps at least: those of a head on frozen features take a millisecond
STEP_SECONDS = 0.5  # of a step of a sample, about; larger batches are taken for as much an image
PREDICTED = 500  # photos of val that predictions are timed on
RUN_SECONDS = 0.2  # of a run beside all that: its network, its files and its record
OTHER_EPOCH = 0.3  # of runs whose best epoch by val is not the last: 138 of 448 runs of one store
BUSY_LOAD = 2.0  # processes a core that want to run, over the last minute
IMPORTING_SECONDS = 0.1  # until it is asked again whether an import is over
MOST_ROWS = 1024  # images of a sample's batch
MOST_PIXELS = 1 << 22  # of a sample's image: what it needs is not known, and may be all memory
_FIRST_ROWS = 16
# settings of [train] that steer training, and do not decide how long a step takes
_STEERING = (
    "epochs", "curriculum_epochs", "evaluate_every", "lr", "min_lr", "weight_decay", "momentum",
    "schedule", "schedule_after_warmup", "warmup_epochs", "warmup_steps", "warmup_divisor",
    "milestones", "decay_every", "decay_rate", "poly_power", "decay_norms", "head_only_epochs",
    "ema_warmup", "checkpoint_seconds", "workers", "compile", "start",
)  # fmt: skip


class Patience:
    """How long the samples of one estimate may take, all together.

    What an estimate does between them, such as preparing the data, is not counted.
    """

    def __init__(self, seconds: float = MOST_SECONDS) -> None:
        self.left = seconds  # none where it is 0 or below


class _TooSlowError(BaseException):  # no library takes it for an error of its own
    """A sample is not done in time."""


class TrainingSpeed(NamedTuple):
    """How fast the benchmark's network learns here; nan = not known."""

    step_seconds: float  # of an optimiser step, with all that feeds it
    prediction_seconds: float  # of a photo that is only predicted
    # of a photo that a frozen trunk embeds, once and for all runs; 0 = no trunk is frozen
    embedding_seconds: float = 0.0
    loading_seconds: float = 0.0  # before the first step, once a process


class ImageSpeed(NamedTuple):
    """How fast images are made here; nan = not known."""

    step_seconds: float  # of an image and denoising step, when some are made together
    image_seconds: float  # of an image beside its steps: its score and its file
    loading_seconds: float = 0.0  # of generator and scorer, once a process


def seconds_per_denoising_step(
    bench: Bench, images: int = 16, patience: Patience | None = None
) -> float:
    """Seconds an image and step takes when up to `images` are made together; nan = not known."""
    return image_speed(bench, images, patience).step_seconds


def image_speed(bench: Bench, images: int = 16, patience: Patience | None = None) -> ImageSpeed:
    """Time some images, as many as are made together, their scores and their files."""
    work = [
        "images",
        bench.spec.part("generators").identity(),
        bench.generator.identity(),
        bench.spec.part("scorers").identity(),
        bench.source_rule.size,
        getattr(bench.generator, "chunk", images),
    ]
    unknown = ImageSpeed(*(math.nan,) * 3)
    if math.prod(bench.source_rule.size) > MOST_PIXELS:
        return unknown
    found = _measured_once(work, lambda: _time_images(bench, images), patience or Patience())
    return ImageSpeed(*found) if found else unknown


def _time_images(bench: Bench, images: int) -> Iterator[ImageSpeed]:
    """What is known so far, again and again, with each larger sample."""

    def made(count: int, level: int) -> tuple[float, Photos]:
        """Seconds of making so many images of a level, and the images."""
        # any photos will do: which ones are hard may not be known yet
        sources = bench.sources_of(np.arange(count) % len(bench.train))
        prompt = f"a photo of {bench.dataset.classes[0]}"
        requests = [Request(level, prompt, seed) for seed in range(count)]
        photos = np.asarray(sources.photos)
        started = time.perf_counter()
        pictures = np.asarray(bench.generator.make(requests, photos).images)
        return time.perf_counter() - started, pictures

    def kept(pictures: Photos) -> float:
        """Seconds of scoring and encoding them."""
        started = time.perf_counter()
        bench.scorer.embed_images(pictures)
        for picture in pictures:
            encode(picture)
        return time.perf_counter() - started

    steps = bench.generator.steps
    short = next(level for level in range(99, -1, -1) if denoising_steps(level, steps))
    first = denoising_steps(short, steps)
    cold, pictures = made(1, short)  # the first call is slower
    warm, _ = made(1, short)
    cold_score = kept(pictures)
    score = kept(pictures)
    loading = max(0.0, cold - warm) + max(0.0, cold_score - score)
    yield ImageSpeed(warm / first, score, loading)
    # a generator that fills its chunks up takes as long for one image as for all of them
    most = getattr(bench.generator, "chunk", images)
    count = 1
    seconds = warm
    while count < most and 2 * seconds < LONG_SECONDS:
        before, tried = seconds, min(most, 2 * count)
        seconds, pictures = made(tried, short)
        count = tried
        yield ImageSpeed(seconds / (count * first), score, loading)
        if seconds < 1.3 * before and count < most:
            count = most // 2  # the next one is of all
            seconds = before
    # what a call takes beside its steps is spread over as many as there is time for
    deep = min(steps, int(LONG_SECONDS * first / seconds))
    if deep > first:
        level = next(each for each in range(99, -1, -1) if denoising_steps(each, steps) >= deep)
        seconds, pictures = made(count, level)
        first = denoising_steps(level, steps)
    yield ImageSpeed(seconds / (count * first), kept(pictures) / count, loading)


def training_speed(
    bench: Bench, batches: int = 4, patience: Patience | None = None
) -> TrainingSpeed:
    """Time some steps of the benchmark's own training, and predictions on a part of val.

    What is timed is a short training by the recipe: its optimiser, loss, augmentation and
    precision, on photos; of a frozen trunk the head on a few features, and the trunk by itself.
    """
    spec = bench.spec
    work = [
        "training",
        spec.part("datasets").identity(),
        spec.part("backbones").identity(),
        spec.part("losses").identity(),
        decides_step(spec),
        batches,
    ]
    found = _measured_once(work, lambda: _time_training(bench, batches), patience or Patience())
    return TrainingSpeed(*found) if found else TrainingSpeed(*(math.nan,) * 4)


def decides_step(spec: Benchmark) -> dict[str, Any]:
    """Settings of [train] that decide how long a step takes, and none that only steer it."""
    return spec.train.model_dump(exclude=set(_STEERING))


def _time_training(bench: Bench, batches: int) -> Iterator[TrainingSpeed]:
    """What is known so far, again and again, with each larger sample."""
    started = time.perf_counter()
    sample = TrainingSample(bench)
    batch = bench.spec.train.batch
    rows = min(batch, _FIRST_ROWS)
    fit = sample.fit(rows, 1)
    sample.timed_epoch(fit)  # the first one is slower
    loading = time.perf_counter() - started - sample.embedding_seconds * sample.embedded
    step = sample.timed_epoch(fit)
    prediction = step / rows / 2  # a guess: forward alone is a third of a step, in other batches

    def known() -> TrainingSpeed:
        return TrainingSpeed(step * batch / rows, prediction, sample.embedding_seconds, loading)

    yield known()
    most = min(batch, MOST_ROWS)
    while rows < most and 2 * step < STEP_SECONDS:
        # a step of all rows takes as much longer at most, if it is within reach
        rows = most if step * most / rows < STEP_SECONDS else min(most, 2 * rows)
        fit = sample.fit(rows, batches)
        sample.timed_epoch(fit)
        step = sample.timed_epoch(fit) / batches
        yield known()
    prediction = sample.timed_prediction(fit, 1)
    count = min(PREDICTED, int(STEP_SECONDS / max(prediction, 1e-9)))
    prediction = sample.timed_prediction(fit, count)
    yield known()
    spent = list[float]()
    while sum(spent) < SAMPLE_SECONDS:
        spent.append(sample.timed_epoch(fit))
        step = float(np.median(spent)) / fit.steps
    yield known()


def _measured_once(
    work: list[object], measure: Callable[[], Iterable[Sequence[float]]], patience: Patience
) -> list[float] | None:
    """A measurement of this work on this machine, made before or else now; None = not in time.

    `measure` gives what it knows so far, again and again: the last that came in time counts, and is
    kept where it is all. Measuring takes seconds, most of them imports. What a busy machine gives
    is not kept.
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
            if key in known:
                return known[key]
            quiet = os.getloadavg()[0] <= BUSY_LOAD * cores()
            found = _within(patience, measure)
            if quiet and found.complete:
                known[key] = list(found.values or ())
                write_text(path, sealed_text(known))
            return found.values
    except DiskError:  # nothing may be written here, and nothing needs to be
        return _known_paces(path).get(key) or _within(patience, measure).values


class _Found(NamedTuple):
    values: list[float] | None
    complete: bool


def _within(patience: Patience, measure: Callable[[], Iterable[Sequence[float]]]) -> _Found:
    """The last of what is measured in time, and whether that is all."""
    values: list[float] | None = None
    if patience.left > 0:
        import torch  # noqa: F401 - not a part of any sample, and not to be interrupted
    try:
        with _interrupting(patience):
            for found in measure():
                values = list(found)
    except _TooSlowError:
        return _Found(values, complete=False)
    return _Found(values, complete=True)


@contextmanager
def _interrupting(patience: Patience) -> Iterator[None]:
    """Raise _TooSlowError where the block is not done in time.

    It is interrupted between two operations, and in the main thread alone; elsewhere it goes on.
    An import ends first: half a module would stay behind, and every later use of it would fail.
    """

    def ended(_: int, frame: FrameType | None) -> None:
        if _importing(frame):
            signal.setitimer(signal.ITIMER_REAL, IMPORTING_SECONDS)
        else:
            raise _TooSlowError

    if patience.left <= 0:
        raise _TooSlowError
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, ended)
    signal.setitimer(signal.ITIMER_REAL, patience.left)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        patience.left -= time.monotonic() - started


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported where the program stands."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _known_paces(path: Path) -> dict[str, list[float]]:
    """Stored measurements; none of a file that is missing or damaged: they are made again."""
    if not path.exists():
        return {}
    try:
        stored = read_sealed(path, "what it held is measured again")
        return {key: [float(each) for each in seconds] for key, seconds in stored.items()}
    except (DamagedFileError, ValueError, TypeError):
        return {}


def forget_paces() -> None:
    """Have every pace measured again, when it is asked for next."""
    with contextlib.suppress(OSError):
        (home() / "paces.json").unlink(missing_ok=True)


def peak_memory() -> int:
    """Bytes that this process held at most, of a GPU or of the machine: samples are in them."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return held if sys.platform == "darwin" else 1024 * held


def seconds_per_run(bench: Bench, speed: TrainingSpeed, probe: bool = False) -> float:
    """Seconds of one run: its optimiser steps, evaluations on val, and final predictions.

    These are made twice where val chooses another epoch than the last: where it may, as often as
    it does. With `probe` also the images that an adaptive strategy measures, as many as there are
    hard photos at most.
    """
    train = bench.spec.train
    splits = bench.dataset.splits
    evaluations = math.ceil(train.epochs / train.evaluate_every)
    photos: float = evaluations * len(bench.dataset.split("val"))
    final = sum(len(bench.dataset.split(name)) for name in splits if name != "train")
    photos += final * (1 + OTHER_EPOCH if evaluations > 1 else 1)
    if bench.spec.select.wise_ft_alphas:
        photos += final * len(bench.spec.select.wise_ft_alphas)
    if probe:
        hard = bench.hard_photos.expected() or 0
        photos += 2 * hard * len(bench.spec.levels) * _in_epochs(train)
    steps = train.epochs * (bench.epoch_images // train.batch)
    return RUN_SECONDS + steps * speed.step_seconds + photos * speed.prediction_seconds


def _in_epochs(train: TrainTable) -> int:
    return round(in_epochs(train.curriculum_epochs, train.epochs))
