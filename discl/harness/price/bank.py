"""The price of a bank's images on a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from discl.config.benchmark import Benchmark
from discl.core.errors import UserError
from discl.core.levels import counting_of, denoising_steps
from discl.engine.bank.filling import Groups, LeaseSize
from discl.harness.price.checkpoints import (
    CheckpointConfig,
    Networks,
    UnknownWorkError,
    config_of,
    factor_of,
)
from discl.harness.price.generator import GeneratorWork, SamplingShape
from discl.harness.price.gpus import Gpu
from discl.harness.price.photos import PricedPhotos
from discl.harness.price.work import weights_of

CONTEXT_BYTES = 1_000_000_000  # of a process on a GPU: its context, kernels and workspaces; a guess
_LEASES = 8  # after which their size is that of all later ones


@dataclass(frozen=True)
class LevelPrice:
    """The images of one level."""

    level: int
    steps: int
    images: int
    tflop: float  # an image
    seconds: float  # an image, on one GPU
    loop_seconds: float  # an image, made alone by a loop over diffusers' pipeline


@dataclass(frozen=True)
class BankPrice:
    """All images of a benchmark; times are of one GPU."""

    generator: str
    size: tuple[int, int]  # (height, width)
    dtype: str
    vae_dtype: str
    compiled: bool
    chunk: int
    levels: tuple[LevelPrice, ...]
    filling: float  # computed for nothing, as a share of what is used
    memory_bytes: int  # at that chunk
    largest_chunk: int  # that fits beside `workers`; 0 = not even one
    download_bytes: int

    @property
    def images(self) -> int:
        return sum(level.images for level in self.levels)

    @property
    def hours(self) -> float:
        seconds = sum(level.images * level.seconds for level in self.levels)
        return seconds * (1 + self.filling) / 3600

    @property
    def loop_hours(self) -> float:
        return sum(level.images * level.loop_seconds for level in self.levels) / 3600


def bank_price(
    spec: Benchmark, gpu: Gpu, photos: PricedPhotos, levels: Sequence[int], workers: int = 1
) -> BankPrice:
    """The images of `levels`; raises UnknownWorkError where their work is not known."""
    generator: Any = spec.part("generators").build()
    checkpoint = getattr(generator, "checkpoint", None)
    if checkpoint is None:
        raise UnknownWorkError(
            f"generator {spec.generator['name']!r} is no diffusion checkpoint, whose configuration"
            " tells its work"
        )
    if not hasattr(generator, "text_guidance"):
        raise UnknownWorkError(
            f"generator {spec.generator['name']!r} calls diffusers' own pipeline of {checkpoint!r},"
            " whose work is not counted; discl plan without --gpu measures it here"
        )
    from discl.parts.generators.base.chunks import chunk_of

    config = config_of(checkpoint)
    size = _size(spec, generator, config)
    sampling = SamplingShape(
        size,
        counting_of(generator, size),
        getattr(generator, "most_guidance", generator.text_guidance) > 1,
        generator.dtype,
        spec.generator.get("chunk") or chunk_of("cuda", lambda: size),
        generator.compile,
        generator.level_0 != "noise",
    )
    work = _generator_work(checkpoint, sampling)
    variants = spec.bank.variants * spec.bank.best_of
    share = 1 / (len(levels) * variants)
    prices = tuple(
        LevelPrice(
            level,
            denoising_steps(level, sampling.counting),
            photos.hard * variants,
            work.level_flops(level) / 1e12,
            work.level_seconds(level, gpu, share),
            work.loop_seconds(level, gpu),
        )
        for level in levels
    )
    beside = _scorer_bytes(spec) + CONTEXT_BYTES
    return BankPrice(
        config.title,
        sampling.size,
        sampling.dtype,
        work.vae_dtype,
        work.compiled,
        sampling.chunk,
        prices,
        # a builder has two leases in work, one being scored
        filling(prices, photos.hard, sampling.chunk, max(1, spec.bank.batch // 2)),
        work.peak_bytes(sampling.chunk) + beside,
        work.largest_chunk(gpu.memory_bytes / workers - beside),
        work.download_bytes if config.published else 0,
    )


def filling(levels: Sequence[LevelPrice], photos: int, chunk: int, batch: int) -> float:
    """What is computed to fill groups of `chunk` up, as a share of what is used.

    Leases are those of a builder at this pace, of `batch` images at most unless that fills groups
    badly, and no more than there are.
    """
    images = sum(level.images for level in levels)
    if not images:
        return 0.0
    groups = Groups(chunk, tuple(level.steps for level in levels), images // photos // len(levels))
    size = LeaseSize(chunk, batch, groups)
    a_image = sum(level.images * level.seconds for level in levels) / images
    for _ in range(_LEASES):
        size.took(size.images, size.images * a_image)
    return groups.waste(max(1, min(size.images, images) // len(levels)))


@lru_cache(maxsize=8)
def _generator_work(checkpoint: str, sampling: SamplingShape) -> GeneratorWork:
    return GeneratorWork(Networks(config_of(checkpoint)), sampling)


def _size(spec: Benchmark, generator: Any, config: CheckpointConfig) -> tuple[int, int]:
    """(height, width) of the images: the generator's, the bank's, the checkpoint's, the photo's."""
    if generator.size:
        return (generator.size[1], generator.size[0])
    if spec.bank.size:
        return (spec.bank.size[0], spec.bank.size[1])
    dataset = spec.part("datasets").build()
    side = int(getattr(dataset, "side", 32))
    own = config.latents_side
    if not getattr(dataset, "has_originals", False) or own is None:
        return (side, side)
    factor = factor_of(config.networks.get("vae", {}))
    height, width = own if isinstance(own, list) else (own, own)
    return (height * factor, width * factor)


def _scorer_bytes(spec: Benchmark) -> int:
    """Weights of the scorer, in float32; 0 where they are not known."""
    skeleton = getattr(spec.part("scorers").build(), "skeleton", None)
    return 4 * weights_of(skeleton()) if skeleton else 0


def check_workers(gpu: Gpu, workers: int, bank: BankPrice) -> None:
    """Raises UserError where a GPU's memory does not hold as many workers as are asked for."""
    most = gpu.memory_bytes // bank.memory_bytes
    if 1 < workers > most:
        raise UserError(
            f"--workers {workers}: a worker that makes images takes {bank.memory_bytes / 1e9:.1f}"
            f" GB, and {gpu.name} has {gpu.memory:g}; {most} fit, or more with a smaller"
            " generator.chunk"
        )
