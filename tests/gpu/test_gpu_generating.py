"""Images on a real GPU: agreement with a CPU, memory that runs out, compilation, two workers.

Checkpoints are small and random. What is left to a GPU alone (its kernels, its memory) is tried
here; devices, types and waits are tried on a pretended one (tests/test_pretended_gpu.py).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from discl.core.interfaces import Photos
from tests.pretended_gpu import generating

pytestmark = pytest.mark.gpu

EXACT = 2  # of 255, in float32: kernels add up in other orders
HALF = 3.0  # of 255, the mean in half precision


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def on_cpu(folder: Path) -> Any:
    """The images of a kind of checkpoint by a CPU, in float32."""
    return cache(lambda kind: generating.made(generating.generator(kind, folder, "cpu")).images)


def _apart(one: Photos, other: Photos) -> Any:
    return np.abs(one.astype(int) - other)


@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_float32_makes_the_images_of_a_cpu(kind: str, folder: Path, on_cpu: Any) -> None:
    images, failed = generating.made(generating.generator(kind, folder, "cuda"))
    assert not failed
    assert _apart(images, on_cpu(kind)).max() <= EXACT


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_half_precision_makes_nearly_the_images_of_a_cpu(
    kind: str, dtype: str, folder: Path, on_cpu: Any
) -> None:
    images, failed = generating.made(generating.generator(kind, folder, "cuda", dtype=dtype))
    assert not failed
    assert _apart(images, on_cpu(kind)).mean() < HALF


def test_layout_fused_attention_and_rest_of_text_encoders_change_no_image(
    folder: Path, on_cpu: Any
) -> None:
    ways = {"channels_last": False, "fused_qkv": False, "rest_text": True}
    images = generating.made(generating.generator("sdxl", folder, "cuda", **ways)).images
    assert _apart(images, on_cpu("sdxl")).max() <= EXACT


def test_blocks_are_compiled_once_and_make_the_same_images(folder: Path, on_cpu: Any) -> None:
    from torch._dynamo.utils import counters

    generator = generating.generator("sd", folder, "cuda", compile=True)
    assert _apart(generating.made(generator).images, on_cpu("sd")).max() <= EXACT
    once = counters["stats"]["unique_graphs"]
    assert once > 0
    generating.made(generator)
    assert counters["stats"]["unique_graphs"] == once


def test_a_group_without_room_is_halved(folder: Path, on_cpu: Any) -> None:
    generator, tried = generating.generator("sd", folder, "cuda", chunk=4), []

    def crowded(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        tried.append(len(inputs[0]))
        if len(inputs[0]) > 4:  # two images, each with and without its prompt
            torch.empty(1 << 50, dtype=torch.uint8, device="cuda")

    generator.family.denoiser.register_forward_pre_hook(crowded)
    assert _apart(generating.made(generator).images, on_cpu("sd")).max() <= EXACT
    assert tried[:2] == [8, 4]


def test_a_scorer_gives_the_scores_of_a_cpu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = generating.scores(generating.scorer(folder))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert np.abs(here - generating.scores(generating.scorer(folder))).max() < 1e-3


def test_two_workers_on_one_gpu_make_one_bank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from discl.cli import main
    from tests.pretended_gpu.cases import TINY

    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    told = []
    for workers in ("1", "2"):
        monkeypatch.setenv("DISCL_HOME", str(tmp_path / workers))
        choice = ["cifar10_lt", *settings]
        done = CliRunner().invoke(main, ["bank", "build", *choice, "--workers", workers])
        assert done.exit_code == 0, done.output
        shared = str(tmp_path / f"shared by {workers}")
        done = CliRunner().invoke(main, ["bank", "export", *choice, shared])
        assert done.exit_code == 0, done.output
        told.append(done.stdout.split(" are in")[0])  # 18 images and 0 cells that could not be made
    assert told[0] == told[1]
    assert " and 0 cells" in told[0]
