"""Tensors on their way to a device, without the host waiting for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """The same values [...] on `device`; the host does not wait until a GPU has them.

    It would for memory that is not pinned, and so until the GPU had done all it was given before.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
