"""A step that does not fit into memory is computed in smaller parts, or refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from discl.core.errors import UserError
from discl.core.registry import bind
from discl.engine.training.config import TrainConfig
from discl.engine.training.loop import Fit
from tests.engine.training.test_loop import CONFIG, NORMALISER, TARGETS, TRAINING_DATA

SHORT = replace(CONFIG, epochs=2, curriculum_epochs=1)
GPU = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
LIBRARY = RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")
CPU = RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")


class Small(nn.Module):
    """A device with room for a few images at a time."""

    def __init__(self, room: int, error: Exception, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.room, self.error, self.tries = room, error, list[int]()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3),
            norm(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(8, 3),
        )

    def forward(self, images: Tensor) -> Any:
        if self.training:
            self.tries.append(len(images))
            if len(images) > self.room:
                raise self.error
        return self.layers(images)


class OfBatch:
    """A loss that looks at the batch as a whole."""

    version = 1

    def __call__(
        self, network: Any, images: Tensor, labels: Tensor, counts: Tensor, progress: float
    ) -> Tensor:
        logits: Tensor = network(images)
        return logits.std()


def _fit(network: nn.Module, config: TrainConfig = SHORT, loss: Any = None) -> Fit:
    parts = bind("strategies", "static", {}).build(), loss or bind("losses", "ce", {}).build()
    return Fit(network, *parts, TRAINING_DATA, config, TARGETS, NORMALISER, 0, torch.device("cpu"))


def _group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(2, channels)


@pytest.mark.parametrize("error", [GPU, LIBRARY, CPU, MemoryError()])
def test_a_batch_without_room_is_computed_in_parts_and_trains_the_same(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    fit = _fit(Small(4, error, _group_norm))
    reports = list(fit)
    assert fit.network.tries[:4] == [16, 8, 4, 4]
    assert set(fit.network.tries[2:]) == {4}  # what did not fit once is not tried again
    assert "is computed in 4 parts from here on" in capsys.readouterr().err
    asked = _fit(Small(99, error, _group_norm), replace(SHORT, accumulate=4))
    assert [report.loss for report in asked] == [report.loss for report in reports]
    ours, theirs = fit.network.state_dict(), asked.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert fit.state()["parts"] == 4
    again = _fit(Small(4, error, _group_norm))
    again.restore(fit.state())
    assert again.parts == 4


@pytest.mark.parametrize(
    ("room", "norm", "loss", "changed", "why"),
    [
        (4, nn.BatchNorm2d, None, {}, "BatchNorm normalises each part by itself"),
        (4, _group_norm, OfBatch(), {}, "is not the mean of those of its parts"),
        (4, _group_norm, None, {"mixup": 0.2}, "images are mixed within a part"),
        (0, _group_norm, None, {"accumulate": 16}, "a part of 1 image cannot be halved"),
    ],
)
def test_what_would_be_another_training_is_refused_with_the_ways_out(
    room: int, norm: Callable[[int], nn.Module], loss: Any, changed: dict[str, Any], why: str
) -> None:
    network = Small(room, GPU, norm)
    fit = _fit(network, replace(SHORT, **changed), loss)
    with pytest.raises(UserError, match=rf"train.batch = 16, .*{why}; .*smaller train.batch"):
        list(fit)


def test_another_error_is_not_taken_for_it() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        list(_fit(Small(4, RuntimeError("mat1 and mat2 shapes"), _group_norm)))
