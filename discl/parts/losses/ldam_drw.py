"""LDAM-DRW (Cao et al. 2019): wider margins for rarer classes, and class weights late in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.parts.losses.base.class_weights import inverse_effective_number
from discl.parts.losses.base.cosines import scale_of_cosines
from discl.parts.losses.base.labels import image_classes

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class LdamDrw:
    """Cross-entropy with the true class's cosine lowered by a margin that grows as count ** (-1/4).

    `margin` is that of the rarest class. A margin means something only where features and weights
    are normalised, so the loss asks for a cosine head; its scale (30 as published) multiplies
    cosines and margins alike. From `defer` of the run on, a class weighs as the inverse of its
    effective number of photos (`beta`, Cui et al. 2019); `defer` 1 is LDAM alone. Of a mixed image
    each class's loss counts by the class's share.
    """

    version = 2
    heads = ("cosine",)

    def __init__(self, margin: float = 0.5, defer: float = 0.8, beta: float = 0.9999) -> None:
        """Settings:

        `margin`: margin of the rarest class, in cosines.
        `defer`: share of the run after which classes are weighted; 1 is never.
        `beta`: how fast further photos of a class add less to its weight.
        """
        if margin < 0:
            raise UserError(f"loss.margin = {margin}: a margin is 0 or more")
        if not 0 <= defer <= 1 or not 0 <= beta < 1:
            raise UserError(
                f"loss.defer = {defer} and beta = {beta}: defer is a share of the run, 0 to 1, and"
                " beta is from 0 to below 1"
            )
        self.margin = margin
        self.defer = defer
        self.beta = beta

    @property
    def corrects_prior(self) -> bool:
        """The weights do, the margins do not."""
        return self.defer < 1 and self.beta > 0

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        from torch.nn.functional import cross_entropy, one_hot

        scale = scale_of_cosines(network, "ldam_drw")
        logits, classes, shares = image_classes(network(images), labels)
        margins = (scale * self._margins(counts)).to(logits.dtype)[classes]
        lowered = logits - margins[:, None] * one_hot(classes, logits.shape[1])
        weights = shares * self._weights(counts, progress).to(logits.dtype)[classes]
        return (weights * cross_entropy(lowered, classes, reduction="none")).sum() / weights.sum()

    def _margins(self, counts: Tensor) -> Tensor:
        """[c], of which the rarest class's is `margin`."""
        # a class without a photo is as rare as one with a single photo
        relative = counts.clamp(min=1) ** -0.25
        return self.margin * relative / relative.max()

    def _weights(self, counts: Tensor, progress: float) -> Tensor:
        """[c], with mean 1."""
        if progress < self.defer:
            return counts.new_ones(len(counts))
        return inverse_effective_number(counts, self.beta)
