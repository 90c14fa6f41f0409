"""Balanced softmax (Ren et al. 2020): logits are shifted by the log of the real class counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class BalancedSoftmax:
    """Cross-entropy of shifted logits."""

    version = 1
    mean_of_images = True
    corrects_prior = True

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        from torch.nn.functional import cross_entropy

        # a class without a photo has no prior to correct for; 1 keeps its logarithm finite
        return cross_entropy(network(images) + counts.clamp(min=1).log(), labels)
