"""Tau-normalisation (Kang et al. 2020): class weights are divided by their length to a power."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

from discl.core.errors import UserError
from discl.core.interfaces import SecondStageOutcome, TrainedFeatures

if TYPE_CHECKING:
    from torch import nn


class TauNormalised:
    """Weights w / |w| ** tau without biases; nothing is trained.

    0 leaves lengths as they are, 1 makes all alike. Of `taus` val chooses, by the metric that
    chooses epochs; of equal ones the smallest. A cosine head has no lengths.
    """

    version = 1
    corrects_prior = True
    heads = ("linear",)

    def __init__(
        self, taus: Sequence[float] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    ) -> None:
        """`taus`: exponents that val chooses from: 0 keeps lengths, 1 makes them equal."""
        if isinstance(taus, str) or not taus or min(taus) < 0:
            raise UserError(f"second_stage.taus = {taus!r}: takes numbers from 0, such as [0.5]")
        self.taus = tuple(sorted(taus))

    def apply(self, trained: TrainedFeatures) -> SecondStageOutcome:
        """The classifier with the weights of the best tau.

        Raises UserError where it is no linear layer.
        """
        from torch import nn

        classifier = trained.classifier
        if not isinstance(classifier, nn.Linear):
            raise UserError(
                "second stage 'tau_norm' divides weights by their length, and this classifier has"
                " none that matters; set backbone.head = 'linear', or take 'crt' or 'lws'"
            )
        candidates = [_normalised(classifier, tau) for tau in self.taus]
        return SecondStageOutcome(max(candidates, key=trained.score))


def _normalised(classifier: nn.Linear, tau: float) -> nn.Linear:
    import torch

    changed = copy.deepcopy(classifier)
    with torch.no_grad():
        # a class whose weights are all zero stays as it is
        lengths = changed.weight.norm(dim=1, keepdim=True).clamp(min=1e-12)
        changed.weight.div_(lengths**tau)
        changed.bias.zero_()
    return changed
