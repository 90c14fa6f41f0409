"""Logit adjustment while training (Menon et al. 2021): cross-entropy of logits plus tau times the
log of the real class shares.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class LogitAdjusted:
    """`tau` = 1 trains as balanced softmax does, 0 as cross-entropy; above 1 the tail is favoured
    beyond balance.
    """

    version = 1

    def __init__(self, tau: float = 1.0) -> None:
        if tau < 0:
            raise UserError(
                f"loss.tau = {tau} would favour the classes that are frequent already; it takes 0"
                " or more"
            )
        self.tau = tau

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        from torch.nn.functional import cross_entropy

        held = counts.clamp(
            min=1
        )  # a class without a photo has no share to correct for; 1 keeps its logarithm finite
        return cross_entropy(network(images) + self.tau * (held / held.sum()).log(), labels)
