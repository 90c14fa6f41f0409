"""Tensors on their way between the host and a device, without the host waiting for each."""

from __future__ import annotations

import torch
from torch import Tensor


def uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """The same values [...] on `device`; the host does not wait until a GPU has them.

    It would for memory that is not pinned, and so until the GPU had done all it was given before.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Downloads:
    """Tensors that come to the host while the device goes on; one wait makes all of them valid."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def begin(self, tensor: Tensor) -> Tensor:
        """A tensor [...] of the host, whose values are those of `tensor` after the next `wait`."""
        return tensor.to("cpu", non_blocking=self.device.type == "cuda")

    def wait(self) -> None:
        """Until all that was begun is there."""
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).record_event().synchronize()
