"""How fast this machine works: measured on a sample, once, and kept under $DISCL_HOME.

Samples have the shape of the work: a generator that denoises in groups of one size is timed on a
whole group. They grow for as long as they stay short. What would not be done in time, by its FLOPs
and a quick matrix product, is not begun but priced by them, as is what a busy machine did not do in
time; what has no such count is not known.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from discl.config.benchmark import Benchmark, TrainTable
from discl.config.schedule import in_epochs
from discl.core.interfaces import Photos, Request
from discl.core.levels import TEXT_ONLY, levels_made
from discl.files.photos import encode
from discl.harness.price.here import (
    REACHED,
    FlopsOfTraining,
    first_steps,
    flops_of_images,
    flops_of_training,
    flops_per_second,
    rough_flops_of_images,
    seconds_of_image_sample,
)
from discl.harness.run.assembly import Bench
from discl.harness.sweep.paces import Patience, measured_once
from discl.harness.sweep.training_sample import TrainingSample

LONG_SECONDS = 4.0  # of the images of a sample, about
SAMPLE_SECONDS = 0.3  # of steps at least: those of a head on frozen features take a millisecond
STEP_SECONDS = 0.5  # of a step of a sample, about; larger batches are taken for as much an image
PREDICTED = 500  # photos of val that predictions are timed on
RUN_SECONDS = 0.2  # of a run beside all that: its network, its files and its record
OTHER_EPOCH = 0.3  # of runs whose best epoch by val is not the last: 138 of 448 runs of one store
MOST_ROWS = 1024  # images of a sample's batch
MOST_PIXELS = 1 << 22  # of a sample's image: what it needs is not known, and may be all memory
SHARE = 0.4  # of the time that is left: what a first sample of images or of training may take
OF_TORCH = 3.0  # times as long as torch: what a generator of diffusers imports
_FIRST_ROWS = 16
_EMBEDDED = 33  # photos of the first sample of a frozen trunk
# settings of [train] that steer training, and do not decide how long a step takes
_STEERING = (
    "epochs", "curriculum_epochs", "evaluate_every", "lr", "min_lr", "weight_decay", "momentum",
    "schedule", "schedule_after_warmup", "warmup_epochs", "warmup_steps", "warmup_divisor",
    "milestones", "decay_every", "decay_rate", "poly_power", "decay_norms", "head_only_epochs",
    "ema_warmup", "checkpoint_seconds", "workers", "start",
)  # fmt: skip


class TrainingSpeed(NamedTuple):
    """How fast the benchmark's network learns here; nan = not known."""

    step_seconds: float  # of an optimiser step, with all that feeds it
    prediction_seconds: float  # of a photo that is only predicted
    # of a photo that a frozen trunk embeds, once and for all runs; 0 = no trunk is frozen
    embedding_seconds: float = 0.0
    loading_seconds: float = 0.0  # before the first step, once a process
    by_flops: float = 0.0  # 1 = nothing was timed but a matrix product


class ImageSpeed(NamedTuple):
    """How fast images are made here; nan = not known."""

    step_seconds: float  # of an image and denoising step, when some are made together
    image_seconds: float  # of an image beside its steps: its score and its file
    loading_seconds: float = 0.0  # of generator and scorer, once a process
    by_flops: float = 0.0  # 1 = nothing was timed but a matrix product


def seconds_per_denoising_step(
    bench: Bench, images: int = 16, patience: Patience | None = None
) -> float:
    """Seconds an image and step takes when up to `images` are made together; nan = not known."""
    return image_speed(bench, images, patience).step_seconds


def image_speed(bench: Bench, images: int = 16, patience: Patience | None = None) -> ImageSpeed:
    """Time some images, as many as are made together, their scores and their files."""
    work = [
        "images",
        # with what is in no identity, since it changes no image: groups, device, compilation
        bench.spec.generator,
        bench.spec.part("generators").identity(),
        bench.generator.identity(),
        bench.spec.part("scorers").identity(),
        bench.source_rule.size,
        getattr(bench.generator, "chunk", images),
    ]
    limit = patience or Patience()
    unknown = ImageSpeed(*(math.nan,) * 3)
    if math.prod(bench.source_rule.size) > MOST_PIXELS:
        return unknown
    share = SHARE * limit.left
    found = measured_once(work, lambda: _time_images(bench, images, share, limit), limit)
    if found:
        return ImageSpeed(*found)
    return (_images_by_flops(bench) if limit.asked else None) or unknown


def _images_by_flops(bench: Bench) -> ImageSpeed | None:
    """By the generator's FLOPs and a matrix product; None = nothing tells its FLOPs."""
    flops = rough_flops_of_images(bench)
    if flops is None:
        return None
    reached = REACHED * flops_per_second()
    return ImageSpeed(flops.step / reached, flops.beside / reached, by_flops=1.0)


def _time_images(
    bench: Bench, images: int, share: float, patience: Patience
) -> Iterator[ImageSpeed]:
    """What is known so far, with each larger sample; the first takes `share` seconds at most."""

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

    short, first = first_steps(bench.counting)
    flops = flops_of_images(bench)
    if flops is not None:
        pace = flops_per_second()
        if seconds_of_image_sample(flops, pace, first) > share:
            reached = REACHED * pace
            yield ImageSpeed(flops.step / reached, flops.beside / reached, by_flops=1.0)
            return
    # an import is not interrupted, and on a busy machine outlasts the patience by far
    if "diffusers" not in sys.modules and patience.left < OF_TORCH * patience.importing:
        rough = _images_by_flops(bench)
        if rough is not None:
            yield rough
            return
    # a generator that fills its groups up takes as long for one image as for all of them
    group = getattr(bench.generator, "chunk", None)
    count = group or 1
    cold, pictures = made(count, short)  # the first call is slower
    seconds, pictures = made(count, short)
    cold_score = kept(pictures[:1])
    score = kept(pictures[:1])
    loading = max(0.0, cold - seconds) + max(0.0, cold_score - score)
    yield ImageSpeed(seconds / (count * first), score, loading)
    most = group or images
    while count < most and 2 * seconds < LONG_SECONDS:
        before, tried = seconds, min(most, 2 * count)
        seconds, pictures = made(tried, short)
        count = tried
        yield ImageSpeed(seconds / (count * first), score, loading)
        if seconds < 1.3 * before and count < most:
            count = most // 2  # the next one is of all
            seconds = before
    # what a call takes beside its steps is spread over as many as there is time for
    levels = levels_made(bench.counting)
    deep = min(levels[TEXT_ONLY], int(LONG_SECONDS * first / seconds))
    if deep > first:
        level = max(each for each, steps in levels.items() if steps >= deep)
        seconds, pictures = made(count, level)
        first = levels[level]
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
    limit = patience or Patience()
    share = SHARE * limit.left
    found = measured_once(work, lambda: _time_training(bench, batches, share), limit)
    if found:
        return TrainingSpeed(*found)
    flops = flops_of_training(bench) if limit.asked else None
    return _training_by_flops(flops) if flops else TrainingSpeed(*(math.nan,) * 4)


def _training_by_flops(flops: FlopsOfTraining, pace: float = 0.0) -> TrainingSpeed:
    """At `pace` FLOPs a second of a matrix product; 0 = measured now."""
    reached = REACHED * (pace or flops_per_second())
    return TrainingSpeed(
        flops.step / reached, flops.prediction / reached, flops.embedding / reached, by_flops=1.0
    )


def decides_step(spec: Benchmark) -> dict[str, Any]:
    """Settings of [train] that decide how long a step takes, and none that only steer it."""
    return spec.train.model_dump(exclude=set(_STEERING))


def _time_training(bench: Bench, batches: int, share: float) -> Iterator[TrainingSpeed]:
    """What is known so far, with each larger sample; the first takes `share` seconds at most."""
    flops = flops_of_training(bench)
    if flops is not None:
        pace = flops_per_second()
        rows = min(flops.batch, _FIRST_ROWS)
        first = 2 * rows * flops.step / flops.batch + _EMBEDDED * flops.embedding
        if first / (REACHED * pace) > share:
            yield _training_by_flops(flops, pace)
            return
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
