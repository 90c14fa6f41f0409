"""What a bank costs over the bare passes of its denoiser: scores, bytes and all, lease by lease.

    python benchmarks/perf/bank_pipeline.py      # a small Stable Diffusion with random weights

One lease is denoised while the one before it is scored, encoded and written in a thread. One torch
thread, so that the processor time of the thread that denoises is that of the path which a GPU would
be on. In turn in one process: the passes alone,
lease by lease without the thread (`one_by_one`), and with it (`pipelined`). Seconds of the clock
say something on a quiet machine with a second core only.
"""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from bank_making import GUIDANCE, LEVELS, STEPS, VARIANTS, sources

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.core.registry import bind
from discl.engine.bank.generate import ImageMaker
from discl.engine.bank.leases import CellGrid
from discl.parts.executors.local import LocalProcesses
from discl.testing import untrained


@click.command()
@click.option("--leases", default=3, show_default=True, help="Of four photos each.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--pixels", default=64, show_default=True, help="Side of a photo.")
@click.option(
    "--width", default=3, show_default=True, help="Of the denoiser, times the tests' own."
)
@click.option("--chunk", default=32, show_default=True)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
def main(leases: int, rounds: int, pixels: int, width: int, chunk: int, output: Path) -> None:
    """Measure; printed and written to --output."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings = {
            "checkpoint": str(untrained.write("sd", folder / "sd", width)),
            "steps": STEPS,
            "text_guidance": GUIDANCE,
            "chunk": chunk,
        }
        generator = bind("generators", "img2img", settings).build()
        scorer = bind("scorers", "open_clip", {}).build()
        made_from = sources(4 * leases, pixels)
        grids = [list(CellGrid((name,), LEVELS, VARIANTS).of(name)) for name in made_from.ids]
        items = [tuple(itertools.chain(*grids[at : at + 4])) for at in range(0, len(grids), 4)]
        (folder / "shards").mkdir()

        def maker() -> ImageMaker:
            return ImageMaker("perf", folder / "shards", made_from, generator, scorer)

        maker()(items[0][:2])  # loads the weights
        before = generator.counts["denoiser_calls"]
        found: list[dict[str, tuple[float, float]]] = []
        for _ in range(rounds):
            calls = generator.counts["denoiser_calls"]
            one_by_one = _timed(lambda: [maker()(item) for item in items])
            calls = generator.counts["denoiser_calls"] - calls
            pipelined = _timed(lambda: list(LocalProcesses().run(maker, iter(items))))
            found.append(
                {
                    "bare": _timed(_passes(generator, calls, chunk, pixels)),
                    "one_by_one": one_by_one,
                    "pipelined": pipelined,
                }
            )
        images = sum(map(len, items))
        calls = (generator.counts["denoiser_calls"] - before) // (2 * rounds)
    result: dict[str, Any] = {"images": images, "denoiser_calls": calls, "rounds": rounds}
    for name in ("one_by_one", "pipelined"):
        for kind, what in enumerate(("clock", "denoising_thread")):
            ratios = [each[name][kind] / each["bare"][kind] for each in found]
            result[f"{name}_over_bare_{what}"] = round(statistics.median(ratios), 3)
    output.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    click.echo(json.dumps(result, indent=1))


def _timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of the clock, and processor seconds of this thread."""
    clock, thread = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - clock, time.thread_time() - thread


def _passes(generator: Any, calls: int, chunk: int, pixels: int) -> Callable[[], None]:
    """The denoiser alone, both halves of the guidance."""
    pipeline = generator.family.pipeline
    side = pixels // pipeline.vae_scale_factor
    width = pipeline.unet.config.cross_attention_dim
    latents = torch.randn(2 * chunk, pipeline.unet.config.in_channels, side, side)
    words = torch.randn(2 * chunk, pipeline.tokenizer.model_max_length, width)

    def passes() -> None:
        with torch.inference_mode():
            for _ in range(calls):
                pipeline.unet(
                    latents, torch.tensor(500), encoder_hidden_states=words, return_dict=False
                )

    return passes


if __name__ == "__main__":
    main()
