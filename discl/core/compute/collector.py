"""Work that makes many objects and no garbage, without the search for some."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collector() -> Iterator[None]:
    """Cycles of objects are not looked for in the block.

    Looking for them takes longer than reading a million records, and a fifth of what importing
    large libraries takes.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
