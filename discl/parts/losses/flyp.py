"""FLYP (Goyal et al. 2023): fine-tuning as CLIP was trained, each image against the captions of the
whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Flyp:
    """Cross-entropy over the batch in both directions, (image to text + text to image) / 2, with
    the network's own temperature.

    As published, two images of one class are negatives of each other's caption; `mask_same` leaves
    such pairs out. Under torch.distributed the batch is that of all ranks, which must be of one
    size.
    """

    version = 1

    def __init__(self, mask_same: bool = False) -> None:
        self.mask_same = mask_same

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        import torch
        from torch.nn.functional import cross_entropy

        from discl.parts.losses.base.ranks import gathered

        if labels.ndim > 1:
            raise UserError(
                "loss 'flyp' pairs each image with one class's caption, so images cannot be mixed;"
                " turn mixing off in [train]"
            )
        if not _gives_pairs(network):
            raise UserError(
                "loss 'flyp' learns from pairs of image and text, and this backbone gives none; "
                "take backbone.name = 'open_clip' with head = 'text', or another loss, such as 'ce'"
            )
        pairs = network(images, labels)
        with torch.autocast(images.device.type, enabled=False):
            image = gathered(pairs[0].float())
            text = gathered(pairs[1].float())
            scale = pairs[2].float()
            logits = scale * image @ text.T
            own = torch.arange(len(logits), device=logits.device)
            if self.mask_same:
                everyone = gathered(labels)
                same = (everyone[:, None] == everyone[None, :]) & (own[:, None] != own[None, :])
                logits = logits.masked_fill(same, float("-inf"))
            return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2


def _gives_pairs(network: Any) -> bool:
    """Whether the network, or what data-parallel training has wrapped it in, says that it does."""
    while not hasattr(network, "gives_pairs") and hasattr(network, "module"):
        network = network.module
    return bool(getattr(network, "gives_pairs", False))
