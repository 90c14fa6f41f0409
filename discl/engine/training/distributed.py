"""Data-parallel training under torchrun; imports no torch where there is one process.

Before each collective the processes wait for each other outside of it, see `Meeting`: one may make
images or read a disk for an hour meanwhile.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from discl.core.errors import UserError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from discl.engine.training.meeting import Meeting


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


_MEETING: list[Meeting] = []  # of this process, once it has joined


def join() -> None:
    """Join the process group that torchrun started; does nothing elsewhere, or a second time.

    Raises UserError where this process has no GPU, and others of this machine have.
    """
    if share().world == 1 or _MEETING:
        return
    import torch
    from torch import distributed
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    from discl.engine.training.meeting import Meeting

    on_gpu = torch.cuda.is_available()
    if on_gpu:
        number = int(os.environ["LOCAL_RANK"])
        gpus = torch.cuda.device_count()
        if number >= gpus:
            raise UserError(
                f"torchrun started more processes on this machine than it has GPUs to use ({gpus}):"
                f" start it with --nproc-per-node {gpus}, or let CUDA_VISIBLE_DEVICES name more"
            )
        torch.cuda.set_device(number)
    store, rank, world = next(rendezvous("env://"))
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=PrefixStore("group", store),
        rank=rank,
        world_size=world,
    )
    _MEETING.append(Meeting(PrefixStore("meeting", store), rank, world))


def barrier() -> None:
    """Wait until all processes are here, however long that takes.

    Raises UserError where one of them has ended.
    """
    if share().world > 1:
        _MEETING[0].wait()


def broadcast(value: Any) -> Any:
    """The value of the main process."""
    if share().world == 1:
        return value
    from torch import distributed

    barrier()
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def values_of_all(value: Any) -> list[Any]:
    """What each process gave, in the order of their ranks."""
    if share().world == 1:
        return [value]
    from torch import distributed

    barrier()
    values: list[Any] = [None] * share().world
    distributed.all_gather_object(values, value)
    return values


def gather(part: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """All rows [count, ...], from each process's `Share.rows` of them, `part` [m, ...]."""
    return part if share().world == 1 else np.concatenate(values_of_all(part))[:count]


def parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network as the training step calls it: gradients are averaged over the processes.

    On GPUs BatchNorm sees the whole batch, as on one device; on CPUs (gloo) each process normalises
    its own part.
    """
    if share().world == 1:
        return network
    from torch.nn import SyncBatchNorm
    from torch.nn.parallel import DistributedDataParallel

    barrier()
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
