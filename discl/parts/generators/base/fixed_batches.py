"""Batches of one fixed size, because a network's last bit depends on the size of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from discl.core.errors import UserError, is_out_of_memory


class DoesNotFitError(UserError):
    """Not even one item at a time fits into memory."""


class FixedBatches:
    """Hands indices 0 .. n-1 to a network in batches of exactly `size`.

    The last batch is filled up with repeats. Which kernel a processor takes depends on the size of
    the batch; at one size, the result of an item does not depend on the others. A batch that does
    not fit into memory is halved, and so is every one after it.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def run(self, count: int, call: Callable[[list[int]], Any]) -> Iterator[tuple[range, Any]]:
        """(indices, result of `call`) of each batch; the result's rows beyond them are filling.

        Raises DoesNotFitError where not even one item fits into memory.
        """
        start = 0
        while start < count:
            indices = range(start, min(start + self.size, count))
            filled = [indices[i % len(indices)] for i in range(self.size)]
            fits, result = self._try(call, filled)
            if fits:
                yield indices, result
                start = indices.stop
            else:
                self._halve()

    @staticmethod
    def _try(call: Callable[[list[int]], Any], indices: list[int]) -> tuple[bool, Any]:
        # the error holds the tensors that filled the memory: it must be gone before the next try
        try:
            return True, call(indices)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False, None

    def _halve(self) -> None:
        if self.size == 1:
            raise DoesNotFitError(
                "generator: not even one image at a time fits into memory; set a smaller"
                " generator.size, generator.dtype = 'bfloat16', generator.attention = 'sliced', or"
                " generator.device = 'cpu'"
            )
        self.size //= 2
        torch.cuda.empty_cache()


def taken(rows: Tensor, batch: list[int]) -> Tensor:
    """The rows [size, ...] of a batch of indices, out of `rows` [n, ...].

    A batch is a range and its repeats, so that no index has to come to the device.
    """
    part = rows[batch[0] : max(batch) + 1]
    if len(part) == len(batch):
        return part
    times = -(-len(batch) // len(part))
    return part.repeat(times, *[1] * (rows.ndim - 1))[: len(batch)]
