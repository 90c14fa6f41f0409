"""Data-parallel training under torchrun; imports no torch where there is one process."""

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
        """Its part of a batch; raises UserError where a batch cannot be divided evenly."""
        if batch % self.world:
            raise UserError(
                f"train.batch = {batch} cannot be divided among {self.world} processes; make it a"
                f" multiple of {self.world}"
            )
        size = batch // self.world
        return slice(self.rank * size, (self.rank + 1) * size)

    def rows(self, count: int) -> slice:
        """Its part of `count` rows, as `gather` puts them together."""
        size = -(-count // self.world)
        return slice(min(count, self.rank * size), min(count, (self.rank + 1) * size))


def share() -> Share:
    """This process's part, by the variables that torchrun sets."""
    return Share(int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1")))


def is_main_process() -> bool:
    """Whether this process is the one that writes files and prints."""
    return share().rank == 0


def join() -> None:
    """Join the process group that torchrun started; does nothing elsewhere, or a second time."""
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
    """Wait until all processes are here."""
    if share().world > 1:
        from torch import distributed

        distributed.barrier()


def broadcast(value: Any) -> Any:
    """The value of the main process."""
    if share().world == 1:
        return value
    from torch import distributed

    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def gather(part: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """All rows [count, ...], from each process's `Share.rows` of them, `part` [m, ...]."""
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
        synchronised = SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(synchronised, device_ids=[device.index])
    return DistributedDataParallel(network)


def device() -> torch.device:
    """The device this process computes on."""
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
