"""What images of flow matching cost: the shared trajectory, diffusers one image a call, forwards.

    # small Stable Diffusion 3 and FLUX.1 dev with random weights; minutes on two cores
    python benchmarks/perf/flow_families.py
    python benchmarks/perf/flow_families.py --kinds sd3 --photos 1 --width 4

(a) `ours`: the generator `img2img`. (b) `loop`: diffusers' own pipeline, one image a call, its text
encoded again. (c) `bare`: nothing but the transformer, as many forwards of the same shape as (a)
made. The three in turn in one process, by processor seconds of one thread, or by the clock where
there are more `--threads`. Levels and variants are the paper's: 50 to 90 in tens, eight of each.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.core.interfaces import Request
from discl.core.levels import denoising_steps
from discl.core.registry import bind
from discl.testing import flow_checkpoints

LEVELS = (50, 60, 70, 80, 90)
VARIANTS = 8
GUIDANCE = 4.0
PROMPTS = ("a photo of a cat", "a photo of a dog")
Clock = Callable[[], float]  # seconds


@click.command()
@click.option("--kinds", default="sd3,flux_dev", show_default=True)
@click.option("--photos", default=1, show_default=True)
@click.option("--pixels", default=64, show_default=True, help="Side of a photo.")
@click.option("--width", default=4, show_default=True, help="Attention heads, times the tests'.")
@click.option("--steps", default=50, show_default=True)
@click.option("--chunk", default=16, show_default=True, help="Images in one call of the denoiser.")
@click.option("--threads", default=1, show_default=True)
def main(
    kinds: str, photos: int, pixels: int, width: int, steps: int, chunk: int, threads: int
) -> None:
    """Print a JSON line for each kind."""
    import torch

    torch.set_num_threads(threads)
    for kind in kinds.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            folder = flow_checkpoints.write(kind, Path(temporary) / kind, width)
            given = {"steps": steps, "text_guidance": GUIDANCE, "chunk": chunk, "device": "cpu"}
            bound = bind("generators", "img2img", {"checkpoint": str(folder), **given})
            clock = time.process_time if threads == 1 else time.perf_counter
            measured = _measured(bound.build(), photos, pixels, clock)
            click.echo(json.dumps({"kind": kind, "threads": threads, **measured}))


def _measured(generator: Any, photos: int, pixels: int, clock: Clock) -> dict[str, Any]:
    shape = (photos, pixels, pixels, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    requests = [
        Request(level, PROMPTS[photo % 2], 1000 * photo + 10 * level + variant)
        for photo in range(photos)
        for level in LEVELS
        for variant in range(VARIANTS)
    ]
    rows = [photo for photo in range(photos) for _ in range(len(LEVELS) * VARIANTS)]
    generator.make(requests[:1], pictures[:1])  # loads the weights; counted by nobody
    before = dict(generator.counts)
    ours = _seconds(lambda: generator.make(requests, pictures[rows]), clock)
    calls = generator.counts["denoiser_calls"] - before["denoiser_calls"]
    pipeline = generator.family.pipeline
    bare = _bare(generator, pipeline, requests, pictures, calls, clock)
    loop = _seconds(
        lambda: _loop(pipeline, requests, pictures[rows], generator.steps, pixels), clock
    )
    return {
        "images": len(requests),
        "denoiser_calls": calls,
        "ours_seconds": round(ours, 2),
        "bare_seconds": round(bare, 2),
        "loop_seconds": round(loop, 2),
        "times_the_loop": round(loop / ours, 2),
        "ours_over_bare": round(ours / bare, 3),
    }


def _seconds(work: Callable[[], Any], clock: Clock) -> float:
    started = clock()
    work()
    return clock() - started


def _bare(
    generator: Any,
    pipeline: Any,
    requests: list[Request],
    pictures: Any,
    calls: int,
    clock: Clock,
) -> float:
    """The transformer alone, `calls` times, on inputs that it was seen to get."""
    import torch

    seen: list[tuple[Any, Any]] = []
    denoiser = pipeline.transformer
    hook = denoiser.register_forward_pre_hook(
        lambda _, args, given: seen.append((args, given)), with_kwargs=True
    )
    generator.make(requests[:1], pictures[:1])
    hook.remove()
    args, given = seen[0]
    with torch.inference_mode():
        return _seconds(lambda: [denoiser(*args, **given) for _ in range(calls)], clock)


def _loop(pipeline: Any, requests: list[Request], photos: Any, steps: int, pixels: int) -> None:
    import torch

    for request, photo in zip(requests, photos, strict=True):
        pipeline(
            prompt=request.prompt,
            image=Image.fromarray(photo),
            strength=(denoising_steps(request.level, steps) - 0.5) / steps,
            num_inference_steps=steps,
            guidance_scale=GUIDANCE,
            height=pixels,
            width=pixels,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="np",
        )


if __name__ == "__main__":
    main()
