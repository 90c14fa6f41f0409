"""What float32 means on a GPU while images are made and scored."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_within = 0  # threads that compute so: a lease is scored while the next one is denoised
_before = True


@contextmanager
def true_float32() -> Iterator[None]:
    """Within it a GPU computes float32 in float32.

    By torch's default it rounds what convolutions take to TF32's 10 bits, and a bank of a float32
    generator would hold other pixels than a CPU's of the same id. Who wants speed takes bfloat16,
    which says so in the id. Threads may be within it at once; the last one puts back what was.
    """
    import torch

    global _within, _before
    with _lock:
        if not _within:
            _before = torch.backends.cudnn.allow_tf32
            torch.backends.cudnn.allow_tf32 = False
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if not _within:
                torch.backends.cudnn.allow_tf32 = _before
