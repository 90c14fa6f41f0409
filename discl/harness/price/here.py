"""How fast this machine works, by FLOPs and a quick matrix product, where a sample is too long."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from discl.core.errors import UserError
from discl.core.levels import Counting, levels_made
from discl.harness.run.assembly import Bench

SMALL_BYTES = 200_000_000  # of a generator whose sample is short anyway, and which is not counted
# FLOPs of a pixel and denoising step of the checkpoints that come along: to count them takes
# diffusers, which a busy machine imports for longer than a plan may take
SHIPPED_FLOPS = {
    "pkg://discl/assets/cifar10_diffusion": 297_000.0,
    "pkg://discl/assets/cifar10_diffusion_gap": 297_000.0,
}
_SIDE = 1024  # of the matrices
_PACE_SECONDS = 0.3
REACHED = 0.5  # of the pace of large products, by a network


class FlopsOfImages(NamedTuple):
    """Of one image."""

    step: float  # a denoising step, with guidance
    beside: float  # its decoding
    chunk: int  # images that are denoised together, always


class FlopsOfTraining(NamedTuple):
    """Of the benchmark's network."""

    step: float  # of an optimiser step
    prediction: float  # of a photo
    batch: int
    embedding: float  # of a photo that a frozen trunk embeds; 0 = no trunk is frozen


def flops_per_second() -> float:
    """Of matrix products in float32, as this machine has them now; takes less than a second."""
    import torch

    left = torch.ones(_SIDE, _SIDE)
    best, started = 0.0, time.perf_counter()
    while time.perf_counter() - started < _PACE_SECONDS or not best:
        began = time.perf_counter()
        left @ left
        best = max(best, 2 * _SIDE**3 / max(1e-9, time.perf_counter() - began))
    return best


def rough_flops_of_images(bench: Bench) -> FlopsOfImages | None:
    """As `flops_of_images` of any size, without diffusers where the checkpoint comes along."""
    generator: Any = bench.generator
    of_a_pixel = SHIPPED_FLOPS.get(str(getattr(generator, "checkpoint", "")))
    if of_a_pixel is None or not hasattr(generator, "chunk"):
        return flops_of_images(bench, least_bytes=0)
    width, height = generator.size or bench.source_rule.size
    guided = getattr(generator, "most_guidance", generator.text_guidance) > 1
    return FlopsOfImages(of_a_pixel * width * height * (1 + guided), 0.0, generator.chunk)


def flops_of_images(bench: Bench, least_bytes: int | None = None) -> FlopsOfImages | None:
    """By the configuration of the generator's checkpoint; None = it tells nothing, or is small.

    Small are weights of less than `least_bytes`, `SMALL_BYTES` where None.
    """
    least_bytes = SMALL_BYTES if least_bytes is None else least_bytes
    from discl.harness.price.checkpoints import Networks, UnknownWorkError, config_of
    from discl.harness.price.generator import GeneratorWork, SamplingShape

    generator: Any = bench.generator
    if not all(hasattr(generator, name) for name in ("checkpoint", "text_guidance", "chunk")):
        return None
    if getattr(generator, "weight_bytes", least_bytes) < least_bytes:
        return None
    size = generator.size
    size = (size[1], size[0]) if size else bench.source_rule.size
    guided = getattr(generator, "most_guidance", generator.text_guidance) > 1
    dtype = generator.dtype
    try:
        sampling = SamplingShape(size, generator.steps, guided, dtype, generator.chunk, True, True)
        work = GeneratorWork(Networks(config_of(generator.checkpoint)), sampling)
        return FlopsOfImages(work.denoise.flops, work.decode.flops, generator.chunk)
    except (UnknownWorkError, UserError):
        return None


def flops_of_training(bench: Bench) -> FlopsOfTraining | None:
    """By the backbone's configuration; None = it tells nothing."""
    from discl.harness.price.checkpoints import UnknownWorkError
    from discl.harness.price.classifier import ClassifierWork

    side = min(bench.train.pixels.shape[1:3])
    try:
        work = ClassifierWork(bench.spec, bench.backbone, len(bench.dataset.classes), side)
        forward = work.passes.predicted.flops
        if work.frozen:
            return FlopsOfTraining(0.0, 0.0, bench.spec.train.batch, forward)
        return FlopsOfTraining(work.step_flops(), forward, bench.spec.train.batch, 0.0)
    except (UnknownWorkError, UserError):
        return None


def seconds_of_image_sample(flops: FlopsOfImages, pace: float, first: int) -> float:
    """Of the shortest sample: two calls of a whole group that takes `first` steps."""
    return 2 * flops.chunk * (first * flops.step + flops.beside) / (REACHED * pace)


def first_steps(counting: Counting) -> tuple[int, int]:
    """(level, denoising steps) of the highest level that takes any."""
    return max(levels_made(counting).items())
