"""What a recipe's settings do to training, one by one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from discl.config.experiment import experiments
from discl.config.load import load
from discl.core.errors import UserError
from discl.core.registry import bind
from discl.engine.evaluation.predict import Normaliser, logits_of
from discl.engine.training.config import TrainConfig
from discl.engine.training.loop import Fit
from tests.engine.training.test_loop import CONFIG, NORMALISER, TARGETS, TRAINING_DATA

SHORT = replace(CONFIG, epochs=2, curriculum_epochs=1, optimiser="sgd", lr=0.01)


def _fit(config: TrainConfig, keep: Any = None) -> Fit:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )
    parts = bind("strategies", "static", {}).build(), bind("losses", "ce", {}).build()
    return Fit(
        network,
        *parts,
        TRAINING_DATA,
        config,
        TARGETS,
        replace(NORMALISER, crop=config.crop),
        0,
        torch.device("cpu"),
        keep,
    )


def _weights(config: TrainConfig) -> dict[str, Tensor]:
    fit = _fit(config)
    list(fit)
    return {key: tensor.clone() for key, tensor in fit.eval_network.state_dict().items()}


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return max(float((one[key] - other[key]).abs().max()) for key in one)


def test_a_batch_in_parts_gives_the_step_of_the_whole() -> None:
    whole = _weights(SHORT)
    assert _distance(whole, _weights(replace(SHORT, accumulate=4))) < 1e-6
    assert _distance(whole, _weights(replace(SHORT, lr=0.02))) > 1e-3
    with pytest.raises(UserError, match=r"train.accumulate = 3 does not divide train.batch = 16"):
        replace(SHORT, accumulate=3)


def test_bfloat16_goes_the_same_way_less_exactly() -> None:
    distance = _distance(_weights(SHORT), _weights(replace(SHORT, precision="bfloat16")))
    assert 0 < distance < 1e-2


def test_channels_last_changes_the_layout_and_not_the_answer() -> None:
    assert _distance(_weights(SHORT), _weights(replace(SHORT, channels_last=True))) < 1e-5


def test_the_running_average_is_what_is_judged() -> None:
    seen: list[Tensor] = []
    fit = _fit(
        replace(SHORT, ema=0.75, ema_warmup=False),
        lambda state: seen.append(state()["network"]["4.bias"].clone()),
    )
    list(fit)
    average, *later = [
        each for i, each in enumerate(seen) if not i or not torch.equal(each, seen[i - 1])
    ]  # told twice at an epoch's end
    for bias in later:
        average = 0.75 * average + 0.25 * bias
    assert torch.allclose(fit.eval_network.state_dict()["4.bias"], average, atol=1e-6)
    assert not torch.allclose(fit.network.state_dict()["4.bias"], average, atol=1e-6)


def test_clipping_bounds_a_step() -> None:
    start = _fit(SHORT).network.state_dict()
    moved = _distance(
        {key: tensor.clone() for key, tensor in start.items()},
        _weights(replace(SHORT, grad_clip=1e-6, weight_decay=0.0)),
    )
    assert 0 < moved < 1e-6


def test_where_nothing_is_random_the_middle_is_seen() -> None:
    photos = np.zeros((1, 8, 8, 3), np.uint8)
    photos[0, 2:6, 2:6] = 255
    seen: list[Tensor] = []

    class Looking(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.mean((2, 3))

    logits_of(Looking(), photos, Normaliser((0.0,) * 3, (1.0,) * 3, crop=4), torch.device("cpu"))
    assert seen[0].shape == (1, 3, 4, 4)
    assert bool((seen[0] == 1).all())
    with pytest.raises(UserError, match=r"train.crop = 9 is larger than the photos"):
        logits_of(
            Looking(), photos, Normaliser((0.0,) * 3, (1.0,) * 3, crop=9), torch.device("cpu")
        )


def test_a_transform_timm_does_not_know_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"train.transform = .*does not take it"):
        list(_fit(replace(SHORT, transform={"colour": 1})))


def test_how_fast_a_run_goes_does_not_rename_it() -> None:
    (one,) = experiments(load("cifar10_lt", settings=["strategies=['static']"]))
    for setting in (
        "train.workers=4",
        "train.compile=true",
        "train.channels_last=true",
        "train.checkpoint_seconds=1",
    ):
        (other,) = experiments(load("cifar10_lt", settings=["strategies=['static']", setting]))
        assert other.id() == one.id(), setting
    for setting in (
        "train.ema=0.9",
        "train.mixup=0.2",
        "train.precision='bfloat16'",
        "train.schedule='constant'",
        "train.accumulate=2",
    ):
        (other,) = experiments(load("cifar10_lt", settings=["strategies=['static']", setting]))
        assert other.id() != one.id(), setting
