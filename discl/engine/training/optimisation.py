"""Optimiser, schedule, averaging and mixing of a `TrainConfig`, as timm builds them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from discl.core.errors import UserError
from discl.engine.training.config import TrainConfig

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def optimiser_and_schedule(
    network: nn.Module, config: TrainConfig, steps: int
) -> tuple[torch.optim.Optimizer, Any]:
    """timm's optimiser and schedule, updated every step; `steps` are those of an epoch.

    Raises UserError where an epoch has no step, or timm has no such optimiser or schedule.
    """
    if steps < 1:
        raise UserError(
            f"train.batch = {config.batch} is larger than an epoch of images; lower it or raise"
            " sampling.images"
        )
    optimiser = _optimiser(network, config)
    return optimiser, _schedule(optimiser, config, steps)


def _optimiser(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    from timm.optim import create_optimizer_v2

    try:
        optimiser: torch.optim.Optimizer = create_optimizer_v2(
            network,
            opt=config.optimiser,
            lr=config.lr,
            weight_decay=config.weight_decay,
            momentum=config.momentum,
        )
    except (ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"train.optimiser = {config.optimiser!r}: timm knows no such optimiser ({error})"
        ) from error
    return optimiser


def _schedule(optimiser: torch.optim.Optimizer, config: TrainConfig, steps: int) -> Any:
    from timm.scheduler import create_scheduler_v2

    warmup_epochs: Any = config.warmup_epochs
    if config.warmup_steps:
        warmup_epochs = config.warmup_steps / steps
    try:
        schedule, _ = create_scheduler_v2(
            optimiser,
            sched=config.schedule,
            num_epochs=config.epochs,
            min_lr=config.min_lr,
            warmup_lr=config.lr / 20,
            warmup_epochs=warmup_epochs,
            step_on_epochs=False,
            updates_per_epoch=steps,
        )
    except ValueError as error:
        raise UserError(
            f"train.schedule = {config.schedule!r}: timm has cosine, tanh, poly, step, multistep,"
            " constant"
        ) from error
    return schedule


def weight_average(network: nn.Module, config: TrainConfig) -> Any:
    """timm's running average of the weights; None where `ema` is 0."""
    from timm.utils import ModelEmaV3

    return ModelEmaV3(network, decay=config.ema) if config.ema else None


def image_mixer(config: TrainConfig, classes: int) -> Any:
    """timm's mixup and cutmix; None where images of a batch are not mixed."""
    from timm.data import Mixup

    if not config.mixing:
        return None
    return Mixup(config.mixup, config.cutmix, label_smoothing=0.0, num_classes=classes)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type that `train.precision` names; "auto" = bfloat16 on a GPU, float32 elsewhere."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return _DTYPES[precision]
