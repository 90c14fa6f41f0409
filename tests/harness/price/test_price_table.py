"""The prices agree with a cost model that was worked out by hand, from the same assumptions.

Hours of a bank and of a loop over single images, without what is lost to filling up and to not
compiling: TFLOP of each network, half of a dense bfloat16 peak of 790, 312 and 165 TFLOP/s, and 25
microseconds an operator.
"""

import runpy
from pathlib import Path

import pytest

from discl.harness.price.checkpoints import Networks, config_of
from discl.harness.price.generator import GeneratorWork, SamplingShape
from discl.harness.price.gpus import known_gpus

REFINER = "stabilityai/stable-diffusion-xl-refiner-1.0"
SD15 = "stable-diffusion-v1-5/stable-diffusion-v1-5"
TURBO = "stabilityai/sd-turbo"
SDXL = "stabilityai/stable-diffusion-xl-base-1.0"
WILD, TAIL = (198_240, (50, 70, 90)), (52_576, (0, 10, 30, 50))  # images, levels
# checkpoint, (height, width), steps, guided, images: hours on an H200, an A100, an RTX 4090, and of
# the loop on each, as far as the model has them
ROWS = {
    "refiner, iWildCam": (
        REFINER, (264, 480), 50, True, WILD, (3.8, 9.6, 18.1), (47.6, 48.4, 49.5),
    ),
    "refiner, ImageNet-LT": (
        REFINER, (512, 512), 50, True, TAIL, (4.8, 12.2, 23.1), (32.1, 32.5, 33.1),
    ),
    "SD-1.5, iWildCam": (SD15, (512, 512), 50, True, WILD, (3.7, 9.5, 17.8), (22.6, 23.4, 24.5)),
    "SD-1.5, ImageNet-LT": (SD15, (512, 512), 50, True, TAIL, (2.4, 6.1, 11.5), (15.1,)),
    "SD-Turbo, iWildCam": (TURBO, (512, 512), 10, False, WILD, (0.71, 1.8, 3.3), (5.7, 6.5, 7.6)),
    "SD-Turbo, ImageNet-LT": (TURBO, (512, 512), 10, False, TAIL, (0.33, 0.84, 1.6), (3.4,)),
    "SDXL, iWildCam": (SDXL, (1024, 1024), 50, True, WILD, (31, 79, 150), (73, 84, 157)),
    "SDXL, ImageNet-LT": (SDXL, (1024, 1024), 50, True, TAIL, (20, 51, 97), (48,)),
}  # fmt: skip
PARAMETERS = {SD15: 859_520_964, TURBO: 865_910_724, SDXL: 2_567_463_684, REFINER: 2_259_526_660}


@pytest.mark.slow(reason="counts the FLOPs of eight networks on meta tensors, 15 s")
@pytest.mark.parametrize("row", ROWS)
def test_hours_agree_with_the_cost_model_within_15_percent(row: str) -> None:
    checkpoint, size, steps, guided, (images, levels), banks, loops = ROWS[row]
    networks = Networks(config_of(checkpoint))
    assert sum(p.numel() for p in networks.denoiser.parameters()) == PARAMETERS[checkpoint]
    sampling = SamplingShape(size, steps, guided, "float16", 32, True, True)
    work = GeneratorWork(networks, sampling)
    gpus = [known_gpus()[name] for name in ("h200", "a100", "rtx4090")]
    an_hour = images / len(levels) / 3600
    share = 1 / (8 * len(levels))
    for gpu, expected in zip(gpus, banks, strict=True):
        hours = an_hour * sum(work.level_seconds(level, gpu, share) for level in levels)
        assert hours == pytest.approx(expected, rel=0.15), gpu.name
    for gpu, expected in zip(gpus, loops, strict=False):
        hours = an_hour * sum(work.loop_seconds(level, gpu) for level in levels)
        assert hours == pytest.approx(expected, rel=0.15), gpu.name


@pytest.mark.slow(reason="prices eight benchmarks on four GPUs, a minute")
def test_the_page_on_gpus_has_the_table_that_the_estimates_give() -> None:
    script = Path(__file__).parents[3] / "benchmarks" / "perf" / "price_table.py"
    written = runpy.run_path(str(script))
    page = written["PAGE"].read_text("utf-8")
    assert written["on_page"](page, written["table"]()) == page
