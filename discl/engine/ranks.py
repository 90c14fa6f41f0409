"""Data-parallel training under torchrun: who takes which part, and how the parts come together again."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch import distributed as dist
from torch import nn

from discl.engine.loading import Share


def join() -> None:
    """Enter the group that torchrun started this process in; nothing to do elsewhere, or a second time."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if on_gpu else "gloo")


def leave() -> None:
    """Leave the group; nothing to do where there is none."""
    if dist.is_initialized():
        dist.destroy_process_group()


def share() -> Share:
    """This process's part of every batch."""
    return Share(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else Share()


def first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return share().rank == 0


def wait() -> None:
    """All processes meet here."""
    if dist.is_initialized():
        dist.barrier()


def agreed(value: Any) -> Any:
    """What the first process says."""
    if not dist.is_initialized():
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]


def whole(part: np.ndarray[Any, Any], rows: int) -> np.ndarray[Any, Any]:
    """All `rows` rows, from each process's `rows_of`."""
    if not dist.is_initialized():
        return part
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, part)
    return np.concatenate(parts)[:rows]


def rows_of(rows: int) -> slice:
    """The rows this process computes for `whole`."""
    rank, world = share()
    each = -(-rows // world)
    return slice(min(rows, rank * each), min(rows, (rank + 1) * each))


def parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network as the training step calls it: gradients are averaged over the processes.

    On GPUs BatchNorm sees the whole batch, as on one device; on CPUs (gloo) each process normalises its own part.
    """
    if not dist.is_initialized():
        return network
    if device.type == "cuda":
        return nn.parallel.DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(network), device_ids=[device.index])
    return nn.parallel.DistributedDataParallel(network)


def device() -> torch.device:
    """Where this process computes."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
