"""Focal loss (Lin et al. 2017): images the network is already sure of weigh less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.parts.losses.base.labels import shares

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class Focal:
    """Each term -log p of cross-entropy is weighted by (1 - p) ** `gamma`; 0 is cross-entropy.

    Of a mixed image each class's term counts by the class's share.
    """

    version = 1
    mean_of_images = True

    def __init__(self, gamma: float = 2.0) -> None:
        """`gamma`: how much answers that are right already are played down; 0 is cross-entropy."""
        if gamma < 0:
            raise UserError(
                f"loss.gamma = {gamma} would count most what is already learnt; it takes 0 or more"
            )
        self.gamma = gamma

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        log_p: Tensor = network(images).float().log_softmax(1)
        # below a gamma of 1 the slope at p = 1 is infinite, and times a loss of 0 it is not a
        # number
        one_minus_p = (-log_p.expm1()).clamp(min=1e-7)
        weights = shares(labels, log_p.shape[1]) * one_minus_p**self.gamma
        return -(weights * log_p).sum(1).mean()
