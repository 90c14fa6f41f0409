"""FLYP (Goyal et al. 2023): fine-tuning by the contrastive loss that CLIP was trained with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Flyp:
    """Cross-entropy over the batch, the mean of image to text and text to image.

    The network gives the scale of the cosines. As published, two images of one class are negatives
    of each other's caption; `mask_same` leaves such pairs out. Under torch.distributed the batch is
    that of all ranks, which must be of one size.
    """

    version = 1
    heads = ("text",)
    takes_shares = False

    def __init__(self, mask_same: bool = False) -> None:
        """`mask_same`: do not take two images of one class for negatives of each other."""
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
            target = torch.arange(len(logits), device=logits.device)
            if self.mask_same:
                all_labels = gathered(labels)
                same_class = all_labels[:, None] == all_labels[None, :]
                other_image = target[:, None] != target[None, :]
                logits = logits.masked_fill(same_class & other_image, float("-inf"))
            return (cross_entropy(logits, target) + cross_entropy(logits.T, target)) / 2


def _gives_pairs(network: Any) -> bool:
    """Whether the network gives pairs; data-parallel training and torch.compile wrap it."""
    while not hasattr(network, "gives_pairs") and hasattr(network, "module"):
        network = network.module
    return bool(getattr(network, "gives_pairs", False))
