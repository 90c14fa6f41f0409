"""Groups of a fixed size for networks whose last bit depends on the size of the batch; smaller ones
where memory runs out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

from discl.core.errors import UserError


class DoesNotFitError(UserError):
    """Not even one item at a time."""


class Groups:
    """Hands places 0 .. n-1 to a network in groups of exactly `size`, the last one filled up with
    repeats.

    Which kernel a processor takes depends on the size of the batch; at one size, what comes out for
    an item does not depend on the others. A group that does not fit into memory is halved, and so
    is every one after it.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def over(self, count: int, call: Callable[[list[int]], Any]) -> Iterator[tuple[range, Any]]:
        """(places, answer of `call`) a group; the answer's rows beyond the places are filling."""
        start = 0
        while start < count:
            places = range(start, min(start + self.size, count))
            fits, answer = self._tried(call, [places[i % len(places)] for i in range(self.size)])
            if fits:
                yield places, answer
                start = places.stop
            else:
                self._halve()

    @staticmethod
    def _tried(call: Callable[[list[int]], Any], places: list[int]) -> tuple[bool, Any]:
        # the error holds the tensors that filled the memory: it must be gone before the next try
        try:
            return True, call(places)
        except torch.OutOfMemoryError:
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
