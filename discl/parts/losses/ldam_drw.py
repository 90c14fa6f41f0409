"""LDAM-DRW (Cao et al. 2019): wider margins for rarer classes, and class weights late in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.parts.losses.base.labels import shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class LdamDrw:
    """Cross-entropy with the true class's logit lowered by a margin that grows as count ** (-1/4).

    `margin` is that of the rarest class. From `defer` of the run on, a class weighs as the inverse
    of its effective number of photos (`beta`, Cui et al. 2019). `scale` multiplies logits and
    margins: the published 30 belongs to a classifier whose features and weights are normalised, so
    that its logits are cosines; a plain linear one takes 1. Of a mixed image, the loss is the
    expected one over its classes.
    """

    version = 1

    def __init__(
        self, margin: float = 0.5, scale: float = 1.0, defer: float = 0.8, beta: float = 0.9999
    ) -> None:
        if margin < 0 or scale <= 0:
            raise UserError(
                f"loss.margin = {margin} and scale = {scale}: a margin is 0 or more, a scale"
                " above 0"
            )
        if not 0 <= defer <= 1 or not 0 <= beta < 1:
            raise UserError(
                f"loss.defer = {defer} and beta = {beta}: defer is a share of the run, 0 to 1, and"
                " beta is from 0 to below 1"
            )
        self.margin = margin
        self.scale = scale
        self.defer = defer
        self.beta = beta

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        from torch.nn.functional import softplus

        logits = network(images).float()
        # at 0 the odds below would be log(0)
        log_p = (self.scale * logits).log_softmax(1).clamp(max=-1e-7)
        # lowering logit j by m multiplies the odds against j by exp(m); -log p is softplus of the
        # log of those odds
        log_odds_against = (-log_p.expm1()).log() - log_p
        # [b, c], the loss if this were the class
        losses = softplus(log_odds_against + self.scale * self._margins(counts))
        weighted = shares(labels, logits.shape[1]) * self._weights(counts, progress)
        return (weighted * losses).sum() / weighted.sum()

    def _margins(self, counts: Tensor) -> Tensor:
        """[c], of which the rarest class's is `margin`."""
        # a class without a photo is as rare as one with a single photo
        relative = counts.clamp(min=1) ** -0.25
        return self.margin * relative / relative.max()

    def _weights(self, counts: Tensor, progress: float) -> Tensor:
        """[c], with mean 1."""
        if progress < self.defer:
            return counts.new_ones(len(counts))
        # in float32, 0.9999 ** 1 loses four digits
        effective = 1 - self.beta ** counts.clamp(min=1).double()
        rarity = (1 - self.beta) / effective
        return (rarity / rarity.mean()).to(counts.dtype)
