"""What float32 means on a GPU."""

from __future__ import annotations


def keep_float32() -> None:
    """Compute float32 in float32, from here on, where a GPU would round it to TF32.

    torch rounds the inputs of convolutions to TF32's 10 bits and leaves matrix products alone. Who
    wants speed takes bfloat16, which is twice as fast as TF32 and says so in ids and results.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False
