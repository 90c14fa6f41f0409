"""Optimiser, schedule, averaging and mixing of a `TrainConfig`, as timm builds them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from discl.config.schedule import check_warmup, in_epochs
from discl.core.errors import UserError
from discl.engine.training.config import TrainConfig

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def optimiser_and_schedule(
    network: nn.Module, config: TrainConfig, steps: int
) -> tuple[torch.optim.Optimizer, Any]:
    """timm's optimiser and schedule, updated every step; `steps` are those of an epoch.

    Raises UserError where an epoch has no step, the warm-up is longer than half the run, or timm
    has no such optimiser or schedule.
    """
    if steps < 1:
        raise UserError(
            f"train.batch = {config.batch} is larger than an epoch of images; lower it or raise"
            " sampling.images"
        )
    run = config.epochs * steps
    run_is = f"{config.epochs} epochs of {steps} steps"
    check_warmup("train.warmup_steps", config.warmup_steps, run, run_is)
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
            filter_bias_and_bn=not config.decay_norms,
            **config.optimiser_arguments,
        )
    except (TypeError, AttributeError, AssertionError) as error:
        if not config.optimiser_arguments:
            raise
        raise UserError(
            f"train.optimiser_arguments = {dict(config.optimiser_arguments)}: timm's"
            f" {config.optimiser!r} does not take them ({error}); set"
            " train.optimiser_arguments = {} for its defaults"
        ) from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise UserError(
            f"train.optimiser = {config.optimiser!r}: timm knows no such optimiser ({error})"
        ) from error
    device = next(network.parameters()).device
    if autocast_dtype(config.precision, device) == torch.float32:
        _iterate_in_float32(optimiser)
    return optimiser


def _iterate_in_float32(optimiser: torch.optim.Optimizer) -> None:
    """Muon's iterations in float32, as the rest of the training is.

    timm's are in bfloat16 and have no setting for it; without instructions for that type a step of
    a small network took twice the time. Other optimisers are left alone.
    """
    from timm.optim import muon

    if not isinstance(optimiser, muon.Muon):
        return
    original = muon.zeropower_via_newtonschulz
    in_float32 = partial(original, dtype=torch.float32)

    def use(function: Any) -> Callable[..., None]:
        return lambda *_: setattr(muon, "zeropower_via_newtonschulz", function)

    optimiser.register_step_pre_hook(use(in_float32))
    optimiser.register_step_post_hook(use(original))


def _schedule(optimiser: torch.optim.Optimizer, config: TrainConfig, steps: int) -> Any:
    """Everything in steps, so that no length is rounded but those that are shares."""
    from timm.scheduler import create_scheduler_v2

    run = config.epochs * steps
    warmup = config.warmup_steps or config.warmup_epochs * steps
    # the others have no length of their own that a warm-up could shorten
    after_warmup = config.schedule_after_warmup and config.schedule in ("cosine", "tanh", "poly")
    try:
        schedule, _ = create_scheduler_v2(
            optimiser,
            sched=config.schedule,
            num_epochs=run - warmup if after_warmup else run,
            min_lr=config.min_lr,
            warmup_lr=config.lr / config.warmup_divisor,
            warmup_epochs=warmup,
            warmup_prefix=after_warmup,
            # timm lowers the rate one step before a milestone, torch and the papers at it
            decay_milestones=[
                round(in_epochs(milestone, config.epochs) * steps) + 1
                for milestone in config.milestones
            ],
            decay_epochs=max(1, round(in_epochs(config.decay_every, config.epochs) * steps)),
            # timm calls the power of poly a rate
            decay_rate=config.poly_power if config.schedule == "poly" else config.decay_rate,
            step_on_epochs=False,
            updates_per_epoch=1,
        )
    except ValueError as error:
        raise UserError(
            f"train.schedule = {config.schedule!r}: timm has cosine, tanh, poly, step, multistep,"
            " constant"
        ) from error
    return schedule


def weight_average(network: nn.Module, config: TrainConfig) -> Any:
    """timm's running average of the weights; None where `ema` is 0.

    With `ema_warmup` the decay after step t is min(ema, 1 - (1 + t) ** (-2 / 3)) (Katherine
    Crowson's rule, timm's default): a decay of 0.999 would else leave 57 % of the first step's
    weights after 570 steps.
    """
    from timm.utils import ModelEmaV3

    if not config.ema:
        return None
    return ModelEmaV3(network, decay=config.ema, use_warmup=config.ema_warmup)


def image_mixer(config: TrainConfig, classes: int) -> Any:
    """timm's mixup and cutmix; None where images of a batch are not mixed."""
    from timm.data import Mixup

    if not config.mixing:
        return None
    return Mixup(config.mixup, config.cutmix, label_smoothing=0.0, num_classes=classes)


def mix_images(
    mixer: Any, config: TrainConfig, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Images [b, ...] and labels float [b, c] as `image_mixer` mixes them.

    `labels` are [b], or soft ones [b, c]. timm takes the first alone: of soft labels it is asked
    for the share [b, b] that each image of the batch has in each.
    """
    if labels.ndim == 1:
        mixed: tuple[Tensor, Tensor] = mixer(images, labels)
        return mixed
    of_images = image_mixer(config, len(labels))
    images, share = of_images(images, torch.arange(len(labels), device=labels.device))
    return images, share.to(labels.dtype) @ labels


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The type that `train.precision` names; "auto" = bfloat16 on a GPU, float32 elsewhere."""
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return _DTYPES[precision]


class Precisions(Protocol):
    """The settings that say what a network computes in."""

    @property
    def precision(self) -> str:
        """Of training."""

    @property
    def eval_precision(self) -> str:
        """Of val, test and the probe."""


def evaluation_dtype(config: Precisions, device: torch.device) -> torch.dtype:
    """The type that `train.eval_precision` names, of val, test and the probe.

    "auto" = on a GPU that of training, as `train.precision` has it there; float32 elsewhere.
    """
    if config.eval_precision != "auto":
        return autocast_dtype(config.eval_precision, device)
    if device.type != "cuda":
        return torch.float32
    return autocast_dtype(config.precision, device)
