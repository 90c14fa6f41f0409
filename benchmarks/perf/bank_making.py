"""What it costs to make the bank's images: identical images and weights, four ways, in one run.

    # a small Stable Diffusion with random weights; minutes on two cores
    python benchmarks/perf/bank_making.py
    python benchmarks/perf/bank_making.py --photos 8 --pixels 128

(a) `loop`: one image a pipeline call, its text encoded again, its text and its photo scored again:
what the official scripts do. (b) `batched`: diffusers' own pipeline, a batch a level; scores
batched. (c) `ours`: the bank's image maker, scores and stored shard included; `making` is its
generator alone. (d) `bare`: nothing but the denoiser, as many forwards of the same shape as (c)
made.

In Stable Diffusion 1.5 a photo costs the decoder about 1.8 times what a forward costs the denoiser
(1.2 against 0.68 TMAC at 512 px); `decode_over_forward` says what it is here, since the decoder's
work counts as overhead below.

Levels and variants are the paper's iWildCam recipe: 50 to 90 in tens, eight images a photo and
level, 50 steps.
"""

from __future__ import annotations

import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.core.levels import denoising_steps, strength
from discl.core.registry import bind
from discl.engine.bank.generate import ImageMaker, SourceImages, request_of
from discl.engine.bank.leases import CellGrid
from discl.testing import untrained

LEVELS = (50, 60, 70, 80, 90)
VARIANTS = 8
STEPS = 50
GUIDANCE = 10.0
OFFICIAL_GRID = tuple(
    range(0, 100, 10)
)  # the strengths the released scripts go through, used or not


@click.command()
@click.option("--photos", default=4, show_default=True)
@click.option("--pixels", default=64, show_default=True, help="Side of a photo.")
@click.option(
    "--width", default=3, show_default=True, help="Channels of the denoiser, times the tests' own."
)
@click.option("--chunk", default=32, show_default=True, help="Images in one call of the denoiser.")
@click.option("--threads", default=2, show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
def main(photos: int, pixels: int, width: int, chunk: int, threads: int, output: Path) -> None:
    """Compare and write --output."""
    import torch

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        checkpoint = untrained.write("sd", folder / "sd", width)
        made_from = sources(photos, pixels)
        cells = tuple(
            cell for name in made_from.ids for cell in CellGrid((name,), LEVELS, VARIANTS).of(name)
        )
        asked = [
            request_of("perf", cell, made_from.choices(made_from.position[cell.source]))
            for cell in cells
        ]
        rows = np.array([made_from.position[cell.source] for cell in cells])
        generator = bind(
            "generators",
            "img2img",
            {
                "checkpoint": str(checkpoint),
                "steps": STEPS,
                "text_guidance": GUIDANCE,
                "chunk": chunk,
            },
        ).build()
        scorer = Counted(bind("scorers", "open_clip", {}).build())
        (folder / "shards").mkdir()
        image_maker = ImageMaker("perf", folder / "shards", made_from, generator, scorer)
        image_maker(cells[:1])  # loads the weights; counted by nobody
        before = dict(generator.counts)
        scored_before = scorer.images
        image_maker = ImageMaker("perf", folder / "shards", made_from, generator, scorer)
        pipeline = generator.family.pipeline
        measured: dict[str, Any] = {
            "images": len(cells),
            "photos": photos,
            "pixels": pixels,
            "chunk": chunk,
            "threads": threads,
        }
        with timed(measured, "ours", len(cells)):
            image_maker(cells)
        counts = {key: generator.counts[key] - before[key] for key in before}
        with timed(measured, "making", len(cells)):
            generator.make(asked, made_from.photos[rows])
        scorer_images = scorer.images - scored_before
        measured["bare"] = bare(pipeline, counts["denoiser_calls"], chunk, pixels)
        measured["decode_over_forward"] = decode_over_forward(
            pipeline, measured["bare"], chunk, pixels
        )
        with timed(measured, "batched", len(cells)):
            batched(pipeline, scorer, asked, made_from, rows, chunk)
        with timed(measured, "loop", len(cells)):
            loop(pipeline, scorer, asked, made_from, rows)
    measured["counts"] = {**counts, "scorer_images": scorer_images}
    used = sum(denoising_steps(level, STEPS) for level in LEVELS)
    measured["ratios"] = {
        "times_the_loop": round(measured["loop"]["seconds"] / measured["ours"]["seconds"], 2),
        "times_batched_per_level": round(
            measured["batched"]["seconds"] / measured["ours"]["seconds"], 2
        ),
        "making_over_bare_denoiser": round(
            measured["making"]["seconds"] / measured["bare"]["seconds"], 3
        ),
        "ours_over_bare_denoiser": round(
            measured["ours"]["seconds"] / measured["bare"]["seconds"], 3
        ),
        "decode_over_forward": measured["decode_over_forward"],
        "denoiser_steps_a_photo_and_variant": counts["denoiser_images"] / photos / VARIANTS,
        "official_grid_steps": sum(denoising_steps(level, STEPS) for level in OFFICIAL_GRID),
        "needed_steps": used,
        "scorer_forwards_an_image": round(scorer_images / len(cells), 3),
    }
    output.write_text(json.dumps(measured, indent=1) + "\n", "utf-8")
    click.echo(json.dumps(measured, indent=1))


class Counted:
    """A scorer that counts what passes through it."""

    version = 1

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.images = 0
        self.texts = 0

    def identity(self) -> dict[str, Any]:
        return {}

    def embed_images(self, images: Any) -> Any:
        self.images += len(images)
        return self.inner.embed_images(images)

    def embed_texts(self, texts: Any) -> Any:
        self.texts += len(texts)
        return self.inner.embed_texts(texts)


def sources(count: int, pixels: int) -> SourceImages:
    photos = (
        np.random.default_rng(0)
        .integers(0, 256, (count, pixels // 8, pixels // 8, 3), dtype=np.uint8)
        .repeat(8, 1)
        .repeat(8, 2)
    )
    prompts = bind("prompts", "template", {"template": "a photo of {name} in the wild"}).build()
    classes = ("cat", "dog")
    return SourceImages(
        tuple(f"photo{i}" for i in range(count)),
        np.arange(count),
        np.arange(count) % 2,
        photos,
        classes,
        ((), ()),
        prompts,
    )


@contextmanager
def timed(measured: dict[str, Any], name: str, images: int) -> Iterator[None]:
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measured[name] = {
        "seconds": round(seconds, 2),
        "images_a_second": round(images / seconds, 2),
        "peak_mb_so_far": round(peak),
    }


def bare(pipeline: Any, calls: int, chunk: int, pixels: int) -> dict[str, Any]:
    """The denoiser alone, both halves of the guidance, `calls` times."""
    import torch

    side = pixels // pipeline.vae_scale_factor
    width = pipeline.unet.config.cross_attention_dim
    latents = torch.randn(2 * chunk, pipeline.unet.config.in_channels, side, side)
    words = torch.randn(2 * chunk, pipeline.tokenizer.model_max_length, width)

    def forward() -> None:
        pipeline.unet(latents, torch.tensor(500), encoder_hidden_states=words, return_dict=False)

    with torch.inference_mode():
        return {"seconds": round(seconds_of(forward, calls), 2), "calls": calls}


def decode_over_forward(pipeline: Any, forwards: dict[str, Any], chunk: int, pixels: int) -> float:
    """Seconds the decoder takes for an image, over those of the denoiser for one of the guidance's
    halves.
    """
    import torch

    side = pixels // pipeline.vae_scale_factor
    latents = torch.randn(4, pipeline.vae.config.latent_channels, side, side)
    with torch.inference_mode():
        decode_s = seconds_of(lambda: pipeline.vae.decode(latents), 10) / 40
    return round(decode_s / (forwards["seconds"] / forwards["calls"] / (2 * chunk)), 2)


def seconds_of(work: Callable[[], Any], times: int) -> float:
    work()
    started = time.perf_counter()
    for _ in range(times):
        work()
    return time.perf_counter() - started


def called(pipeline: Any, requests: list[Any], photos: Any) -> Any:
    """One call of diffusers' pipeline."""
    import torch

    images = pipeline(
        prompt=[request.prompt for request in requests],
        image=photos.astype(np.float32) / 255,
        strength=strength(requests[0].level, STEPS),
        num_inference_steps=STEPS,
        guidance_scale=GUIDANCE,
        generator=[torch.Generator().manual_seed(request.seed) for request in requests],
        output_type="np",
    ).images
    return (images * 255).round().astype(np.uint8)


def batched(
    pipeline: Any, scorer: Any, asked: list[Any], made_from: SourceImages, rows: Any, chunk: int
) -> None:
    pipeline.set_progress_bar_config(disable=True)
    for level in LEVELS:
        at_level = [i for i, request in enumerate(asked) if request.level == level]
        for start in range(0, len(at_level), chunk):
            some = at_level[start : start + chunk]
            images = called(pipeline, [asked[i] for i in some], made_from.photos[rows[some]])
            scorer.embed_texts([asked[i].prompt for i in some])
            scorer.embed_images(np.concatenate([images, made_from.photos[rows[some]]]))


def loop(pipeline: Any, scorer: Any, asked: list[Any], made_from: SourceImages, rows: Any) -> None:
    for request, row in zip(asked, rows, strict=True):
        photo = made_from.photos[row : row + 1]
        image = called(pipeline, [request], photo)
        scorer.embed_texts([request.prompt])
        scorer.embed_images(image)
        scorer.embed_images(photo)


if __name__ == "__main__":
    main()
