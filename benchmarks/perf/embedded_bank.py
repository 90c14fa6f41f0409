"""How much faster the embedded generator could make a bank on a CPU: the share of its time that is
the denoiser, and how near the denoiser is to what the processor can multiply.

    python benchmarks/perf/embedded_bank.py        # two minutes of one core

One process, one thread, processor time; the ways of computing a forward pass are taken in turn.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch
from _report import report
from bank_making import sources
from torch.utils.flop_counter import FlopCounterMode

import discl  # noqa: F401 - first of all: it lets `import torchvision` work beside a CPU-only torch
from discl.core.registry import bind
from discl.engine.bank.generate import ImageMaker
from discl.engine.bank.leases import CellGrid

LEVELS = (0, 10, 20, 30)  # of cifar10_lt
VARIANTS = 8
BOTH_HALVES = 64  # of the guidance, of a chunk of 32
SIDE = 1024  # of the matrices whose product is the processor's best


@click.command()
@click.option("--rounds", default=7, show_default=True, help="Forward passes of each, in turn.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path(__file__).with_suffix(".json"),
    show_default=True,
)
def main(rounds: int, output: Path) -> None:
    """Measure; printed and written to --output."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        report(output, "bank", _bank())
        report(output, "forward", _forward(rounds))


def _generator(**settings: Any) -> Any:
    return bind("generators", "img2img", settings).build()


def _bank() -> dict[str, Any]:
    """Images with scores, stored, beside as many forward passes of the denoiser alone."""
    made_from = sources(4, 32)
    grid = [CellGrid((name,), LEVELS, VARIANTS).of(name) for name in made_from.ids]
    cells = tuple(cell for of_photo in grid for cell in of_photo)
    generator, scorer = _generator(), bind("scorers", "open_clip", {}).build()
    with tempfile.TemporaryDirectory() as folder:
        ImageMaker("perf", Path(folder), made_from, generator, scorer)(cells[:2])  # loads weights
        before = generator.counts["denoiser_calls"]
        maker = ImageMaker("perf", Path(folder), made_from, generator, scorer)
        whole = _seconds(lambda: maker(cells))
    calls = generator.counts["denoiser_calls"] - before
    forward = _forward_of(generator)
    bare = _seconds(lambda: [forward() for _ in range(calls)])
    return {
        "images_a_cpu_second": round(len(cells) / whole, 2),
        "denoiser_calls": calls,
        "over_bare_denoiser": round(whole / bare, 3),
    }


def _forward(rounds: int) -> dict[str, Any]:
    """A forward pass as it is and with channels last, beside a large product of matrices."""
    factor = torch.randn(SIDE, SIDE)
    generators = {"as it is": _generator(), "channels_last": _generator(channels_last=True)}
    ways = {name: _forward_of(generator) for name, generator in generators.items()}
    ways["product"] = lambda: factor @ factor
    counter = FlopCounterMode(display=False)
    with counter:
        ways["as it is"]()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            taken = _seconds(way)
            if number:  # the first is a warm-up
                seconds[name].append(taken)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    operations = counter.get_total_flops()
    return {
        "ms_an_image": {name: round(1000 * median[name] / BOTH_HALVES, 2) for name in generators},
        "gflops": {name: round(operations / median[name] / 1e9, 1) for name in generators},
        "gflops_of_a_product": round(2 * SIDE**3 / median["product"] / 1e9, 1),
        "channels_last_times_faster": round(
            statistics.median(
                here / there
                for here, there in zip(seconds["as it is"], seconds["channels_last"], strict=True)
            ),
            3,
        ),
        "rounds": rounds,
    }


def _forward_of(generator: Any) -> Callable[[], Any]:
    pipeline = generator.family.pipeline
    unet, words = pipeline.unet, pipeline.tokenizer.model_max_length
    latents = torch.randn(BOTH_HALVES, unet.config.in_channels, 8, 8)
    if generator.channels_last:
        latents = latents.contiguous(memory_format=torch.channels_last)
    text = torch.randn(BOTH_HALVES, words, unet.config.cross_attention_dim)
    return lambda: unet(latents, torch.tensor(500), encoder_hidden_states=text, return_dict=False)


def _seconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
