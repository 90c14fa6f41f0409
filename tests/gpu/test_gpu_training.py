"""Training on a real GPU: agreement with a CPU, memory that runs out, a stopped run, two GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from discl.engine.training.state import flatten, unflatten
from tests.pretended_gpu import training

pytestmark = pytest.mark.gpu

FLOAT32 = {"precision": "float32", "eval_precision": "float32"}
CLOSE = {"float32": 1e-3, "bfloat16": 5e-2, "float16": 2e-2}  # of the loss


def _losses(network: nn.Module, device: str, **settings: Any) -> list[float]:
    return [report.loss or 0.0 for report in training.fit(network, device, **settings)]


@pytest.mark.parametrize("precision", CLOSE)
def test_an_epoch_has_the_losses_of_a_cpu(precision: str) -> None:
    expected = _losses(training.plain(), "cpu", **FLOAT32)
    settings = {"precision": precision, "eval_precision": "float32"}
    found = _losses(training.plain(), "cuda", **settings)
    assert found == pytest.approx(expected, rel=CLOSE[precision])


def test_flyp_has_the_losses_of_a_cpu(tmp_path: Path) -> None:
    expected = _losses(training.clip(tmp_path), "cpu", loss="flyp", **FLOAT32)
    found = _losses(training.clip(tmp_path), "cuda", loss="flyp", **FLOAT32)
    assert found == pytest.approx(expected, rel=1e-2)


def _dropping() -> nn.Module:
    """A network that draws at each step."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Dropout(0.5), nn.Linear(32, 3)
    )


def test_a_stopped_run_draws_on_the_gpu_as_if_it_had_not_been_stopped() -> None:
    stops: list[Any] = []
    whole = training.fit(
        _dropping(), "cuda", on_step=lambda state: stops.append(flatten(state())), **FLOAT32
    )
    expected = [report.loss for report in whole]
    again = training.fit(_dropping(), "cuda", **FLOAT32)
    again.restore(unflatten(*stops[2]))
    torch.cuda.manual_seed(12345)  # what went on meanwhile
    assert [report.loss for report in again] == pytest.approx(expected, rel=1e-5)


def test_a_step_without_room_is_made_in_parts() -> None:
    expected = _losses(_without_dropout(), "cuda", **FLOAT32)
    network, seen = _without_dropout(), []

    def crowded(_module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if network.training:
            seen.append(len(inputs[0]))
            if len(inputs[0]) > training.BATCH // 2:
                torch.empty(1 << 50, dtype=torch.uint8, device="cuda")

    network.register_forward_pre_hook(crowded)
    assert _losses(network, "cuda", **FLOAT32) == pytest.approx(expected, rel=1e-3)
    assert seen[:2] == [training.BATCH, training.BATCH // 2]


def _without_dropout() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 32), nn.ReLU(), nn.Linear(32, 3))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_under_torchrun_end_a_run(tmp_path: Path) -> None:
    from tests.pretended_gpu.cases import RUN, TINY

    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("-m", "discl.cli", *RUN, "adaptive", *settings),
    ]
    environment = os.environ | {"DISCL_HOME": str(tmp_path / "home")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]
