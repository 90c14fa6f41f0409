"""Data-parallel training under torchrun: who takes which part, and how the parts come together
again. Light where there is one process.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from discl.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn


class Share(NamedTuple):
    """The part of each batch that one of `world` processes takes."""

    rank: int = 0
    world: int = 1

    def of(self, batch: int) -> slice:
        if batch % self.world:
            raise UserError(
                f"train.batch = {batch} cannot be divided among {self.world} processes; make it a"
                f" multiple of {self.world}"
            )
        each = batch // self.world
        return slice(self.rank * each, (self.rank + 1) * each)

    def rows(self, count: int) -> slice:
        """The rows it computes for `whole`."""
        each = -(-count // self.world)
        return slice(min(count, self.rank * each), min(count, (self.rank + 1) * each))


def share() -> Share:
    """This process's part, as torchrun says."""
    return Share(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def is_main_process() -> bool:
    """Whether this process is the one that writes and speaks."""
    return share().rank == 0


def join() -> None:
    """Enter the group that torchrun started this process in; nothing to do elsewhere, or a second
    time.
    """
    if share().world == 1:
        return
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if on_gpu else "gloo")


def barrier() -> None:
    """All processes meet here."""
    if share().world > 1:
        from torch import distributed

        distributed.barrier()


def broadcast(value: Any) -> Any:
    """What the first process says."""
    if share().world == 1:
        return value
    from torch import distributed

    said = [value]
    distributed.broadcast_object_list(said)
    return said[0]


def gather(part: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """All `count` rows, from each process's `Share.rows`."""
    if share().world == 1:
        return part
    from torch import distributed

    parts: list[Any] = [None] * share().world
    distributed.all_gather_object(parts, part)
    return np.concatenate(parts)[:count]


def parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network as the training step calls it: gradients are averaged over the processes.

    On GPUs BatchNorm sees the whole batch, as on one device; on CPUs (gloo) each process normalises
    its own part.
    """
    if share().world == 1:
        return network
    from torch.nn import SyncBatchNorm
    from torch.nn.parallel import DistributedDataParallel

    if device.type == "cuda":
        return DistributedDataParallel(
            SyncBatchNorm.convert_sync_batchnorm(network), device_ids=[device.index]
        )
    return DistributedDataParallel(network)


def device() -> torch.device:
    """Where this process computes."""
    import torch

    return (
        torch.device("cuda", torch.cuda.current_device())
        if torch.cuda.is_available()
        else torch.device("cpu")
    )
