"""An epoch or two of small networks, on whichever device: the cases of losses and recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from discl.core.interfaces import Split, Task
from discl.core.registry import bind
from discl.engine.evaluation.predict import Normaliser
from discl.engine.level_images import LevelImages
from discl.engine.training.config import TrainConfig
from discl.engine.training.data import TrainingData
from discl.engine.training.loop import Fit
from discl.engine.training.sampler import SamplerView, Targets
from discl.testing.untrained import write_clip
from tests.metrics import DEFAULT

COLOURS = ("red", "green", "blue")
LABELS = np.repeat([0, 1, 2], [40, 20, 6])
LEVELS = (0, 50, 100)
STEPS = 6  # an epoch
BATCH = 8


def _photos(labels: Any, seed: int) -> Any:
    noise = np.random.default_rng(seed).normal(0, 20, (len(labels), 8, 8, 3))
    colours = np.eye(3)[labels][:, None, None, :] * 150 + 50
    return (colours + noise).clip(0, 255).astype(np.uint8)


def _split(labels: Any, seed: int) -> Split:
    names = np.array([f"{seed}-{i}" for i in range(len(labels))])
    return Split(names, labels, np.zeros(len(labels), np.int64), _photos(labels, seed))


def data() -> TrainingData:
    """Photos of three colours, of the rarest of which there are images at two levels."""
    view = SamplerView(LABELS, np.bincount(LABELS)[LABELS] < 10)
    hard = np.flatnonzero(view.hard)
    images = LevelImages(np.repeat(hard, 2), np.tile([0, 1], 6), np.arange(12))
    made = [level for level in LEVELS if level < 100]
    return TrainingData(
        _split(LABELS, 0),
        view,
        3,
        LEVELS,
        dict.fromkeys(made, images),
        {level: _photos(np.full(12, 2), level) for level in made},
        _split(np.repeat([0, 1, 2], 4), 1),
        metrics=DEFAULT,
    )


def config(**settings: Any) -> TrainConfig:
    """Two epochs, the first of which follows the strategy."""
    given: dict[str, Any] = {
        **{"epochs": 2, "curriculum_epochs": 1, "batch": BATCH, "lr": 1e-3, "weight_decay": 0.01},
        **{"optimiser": "adamw", "warmup_epochs": 0, "random_translate": 1, "hflip": True},
        **{"evaluate_every": 2, "workers": 0},
    }
    return TrainConfig(**given | settings)


def plain() -> nn.Module:
    """Convolutions with a norm, and without a layer that draws."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


def clip(folder: Path, **settings: Any) -> nn.Module:
    """A small random CLIP with a head."""
    where = folder / "clip of colours"
    if not where.exists():
        write_clip(where, COLOURS, side=8)
    backbone = bind("backbones", "open_clip", {"model": str(where), **settings}).build()
    return backbone.build(Task(COLOURS, ((), (), ()), 8), 0)  # type: ignore[no-any-return]


def fit(
    network: nn.Module,
    device: str,
    loss: str = "ce",
    strategy: str = "real_only",
    on_step: Callable[[Any], None] | None = None,
    parameters: dict[str, Any] | None = None,
    **settings: Any,
) -> Fit:
    """Training of a network; iterate it."""
    return Fit(
        network,
        bind("strategies", strategy, {}).build(),
        bind("losses", loss, parameters or {}).build(),
        data(),
        config(**settings),
        Targets(STEPS * BATCH, 1 / 3, 20),
        Normaliser((0.5,) * 3, (0.25,) * 3),
        0,
        torch.device(device),
        on_step,
    )
