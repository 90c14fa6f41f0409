"""Networks whose logits are cosines, times a scale."""

from __future__ import annotations

from typing import Any

from discl.core.errors import UserError


def scale_of_cosines(network: Any, loss: str) -> float:
    """What the cosines of a network with a cosine head are multiplied by.

    Data-parallel training and torch.compile wrap the network. Raises UserError, which names the
    loss, where the network has another head.
    """
    while not hasattr(network, "cosine_scale") and hasattr(network, "module"):
        network = network.module
    scale = getattr(network, "cosine_scale", None)
    if scale is None:
        raise UserError(
            f"loss {loss!r} lowers cosines by a margin, and this network's logits are none; set"
            " backbone.head = 'cosine', or take another loss, such as 'balanced_softmax'"
        )
    return float(scale)
