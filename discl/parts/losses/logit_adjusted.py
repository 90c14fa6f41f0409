"""Logit adjustment while training (Menon et al. 2021): logits plus tau times the log shares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class LogitAdjusted:
    """Cross-entropy of logits shifted by `tau` times the log of the real class shares.

    1 trains as balanced softmax does, 0 as cross-entropy; above 1 the tail is favoured beyond
    balance.
    """

    version = 1
    mean_of_images = True

    def __init__(self, tau: float = 1.0) -> None:
        """`tau`: how far logits are shifted: 1 as balanced softmax, 0 as cross-entropy."""
        if tau < 0:
            raise UserError(
                f"loss.tau = {tau} would favour the classes that are frequent already; it takes 0"
                " or more"
            )
        self.tau = tau

    @property
    def corrects_prior(self) -> bool:
        """At `tau` 0 it is cross-entropy."""
        return self.tau > 0

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        from torch.nn.functional import cross_entropy

        # a class without a photo has no share to correct for; 1 keeps its logarithm finite
        at_least_one = counts.clamp(min=1)
        shares = at_least_one / at_least_one.sum()
        return cross_entropy(network(images) + self.tau * shares.log(), labels)
