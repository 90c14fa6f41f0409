"""Whether a training step that does not fit into memory may be computed in smaller parts."""

from __future__ import annotations

from torch import nn

from discl.core.errors import UserError
from discl.core.interfaces import Loss
from discl.engine.training import distributed
from discl.engine.training.config import TrainConfig


def check_divisible(network: nn.Module, loss: Loss, config: TrainConfig, parts: int) -> None:
    """Raises UserError where twice as many parts would not be the same training.

    `parts`: how many a batch is computed in now, which did not fit.
    """
    if reason := _reason(network, loss, config, parts):
        raise UserError(
            f"training is out of memory with train.batch = {config.batch}, train.accumulate ="
            f" {parts}, and {reason}; end what else uses the device, set train.accumulate ="
            f" {2 * parts} (which is another recipe here), a smaller train.batch, train.crop or"
            " train.side, train.precision = 'bfloat16', or a smaller backbone.model"
        )


def _reason(network: nn.Module, loss: Loss, config: TrainConfig, parts: int) -> str:
    """Why a batch may not be divided further; "" = it may."""
    size = config.batch // distributed.share().world // parts  # images of a part
    if size % 2:
        return f"a part of {size} {'image' if size == 1 else 'images'} cannot be halved"
    if distributed.share().world > 1:
        return "the processes must compute a batch in equally many parts"
    if not getattr(loss, "mean_of_images", False):
        return "the loss of a batch is not the mean of those of its parts"
    if config.mixing:
        return "images are mixed within a part"
    norms = nn.modules.batchnorm._BatchNorm
    if any(isinstance(module, norms) and module.training for module in network.modules()):
        return "BatchNorm normalises each part by itself"
    return ""
