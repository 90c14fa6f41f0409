"""Class-balanced focal loss (Cui et al. 2019): a class weighs by its effective number of photos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.parts.losses.base.class_weights import inverse_effective_number
from discl.parts.losses.base.labels import shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class ClassBalancedFocal:
    """Sigmoid focal loss of every class's logit, summed, times the weight of the true class.

    As in their equations 12 and 13: each class is a question of its own, answered with the
    probability p of the right answer, and costs -(1 - p) ** `gamma` log p. Weights are the inverse
    of the effective number of photos (`beta`), with mean 1. Of a mixed image each class's loss
    counts by the class's share. They begin with biases that answer 1 / c to every question; here a
    run begins with the weights of its backbone.
    """

    version = 1
    mean_of_images = True

    def __init__(self, gamma: float = 0.5, beta: float = 0.9999) -> None:
        """Settings:

        `gamma`: how much answers that are right already are played down.
        `beta`: how fast further photos of a class add less; 0 weighs all classes alike.
        """
        if gamma < 0:
            raise UserError(
                f"loss.gamma = {gamma} would count most what is already learnt; it takes 0 or more"
            )
        if not 0 <= beta < 1:
            raise UserError(f"loss.beta = {beta}: takes 0 to below 1")
        self.gamma = gamma
        self.beta = beta

    @property
    def corrects_prior(self) -> bool:
        """Without weights, at `beta` 0, it does not."""
        return self.beta > 0

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        logits = network(images).float()
        yes = self._cost(logits)
        no = self._cost(-logits)
        # [b, c], the loss if this were the class: its question answered yes, all others no
        losses = no.sum(1, keepdim=True) - no + yes
        weights = inverse_effective_number(counts, self.beta)
        return (shares(labels, logits.shape[1]) * weights * losses).sum(1).mean()

    def _cost(self, logits: Tensor) -> Tensor:
        """Focal loss [b, c] of the right answer's logits [b, c]."""
        from torch.nn.functional import logsigmoid

        # below a gamma of 1 the slope at p = 1 is infinite, and times a loss of 0 it is not a
        # number
        wrong = logits.neg().sigmoid().clamp(min=1e-7)
        return -(wrong**self.gamma) * logsigmoid(logits)
