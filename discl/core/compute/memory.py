"""Work on many rows at once, and on fewer where memory is too small for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from discl.core.errors import UserError, is_out_of_memory


class InParts:
    """Calls `work` on rows [n, ...], all at once, or in parts of half as many as did not fit.

    What did not fit once is not tried again. Results of a part may differ in their last bits from
    those of the whole, as a processor takes other kernels for other sizes.
    """

    def __init__(self, work: Callable[[Any], Any], too_small: str) -> None:
        """`too_small`: what is told where not even one row fits, with the ways out."""
        self._work = work
        self._too_small = too_small
        self.most: int | None = None  # rows at once; None = as many as are given

    def __call__(self, rows: Any) -> list[Any]:
        """The result of each part of rows [n, ...], in their order.

        Raises UserError where not even one row fits into memory.
        """
        results: list[Any] = []
        start = 0
        while start < len(rows):
            part = rows[start : start + (self.most or len(rows))]
            fits, result = self._try(part)
            if fits:
                results.append(result)
                start += len(part)
            else:
                self._halve(len(part))
        return results

    def _try(self, part: Any) -> tuple[bool, Any]:
        # the error holds what filled the memory: it must be gone before the next try
        try:
            return True, self._work(part)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return False, None

    def _halve(self, rows: int) -> None:
        if rows == 1:
            raise UserError(self._too_small)
        self.most = rows // 2
        free_cached()


def free_cached() -> None:
    """Give back the memory of a GPU that torch holds without using it."""
    torch = sys.modules.get("torch")
    if torch and torch.cuda.is_available():
        torch.cuda.empty_cache()
