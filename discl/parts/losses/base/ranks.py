"""One batch out of those of all ranks, with gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def gathered(mine: Tensor) -> Tensor:
    """Rows [ranks * b, ...] of all ranks in their order; `mine` itself where there is one.

    Every rank gives equally many.
    """
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return mine
    rows: Tensor = _Gather.apply(mine)
    return rows


class _Gather(torch.autograd.Function):
    """All ranks compute the same loss of the same rows, so that each already holds the gradient of
    its own. Data-parallel training averages gradients over ranks, hence the factor: a rank's rows
    count in the losses of all.
    """

    @staticmethod
    def forward(context: Any, mine: Tensor) -> Tensor:
        parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, mine.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        ranks = dist.get_world_size()
        return gradients[0].chunk(ranks)[dist.get_rank()] * ranks
