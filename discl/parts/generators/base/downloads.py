"""Tensors on their way to the host, which waits once for all of them."""

from __future__ import annotations

import torch
from torch import Tensor


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
