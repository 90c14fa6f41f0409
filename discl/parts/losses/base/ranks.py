"""The batches of all ranks as one, with gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def gathered(rows: Tensor) -> Tensor:
    """Rows [ranks * b, ...] of all ranks in their order, from `rows` [b, ...] of this one.

    Every rank gives equally many; where there is one rank, the rows are returned as they are.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return rows
    all_rows: Tensor = _Gather.apply(rows)
    return all_rows


class _Gather(torch.autograd.Function):
    """Gathers rows; backward takes the gradient of this rank's own.

    All ranks compute the same loss of the same rows, so each already holds the gradient of its own.
    Data-parallel training averages gradients over ranks, hence the factor: a rank's rows count in
    the losses of all.
    """

    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        ranks = dist.get_world_size()
        return gradients[0].chunk(ranks)[dist.get_rank()] * ranks
