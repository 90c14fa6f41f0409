"""The classifier at the end of a network, and the features it is given."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from discl.core.errors import UserError


def classifier_of(network: Any) -> nn.Module:
    """The last layer, from features [b, d] to logits [b, c]: one with class weights.

    Raises UserError where the network has none, as a CLIP model with its text head.
    """
    found = network.get_classifier() if hasattr(network, "get_classifier") else None
    if not isinstance(found, nn.Module) or not hasattr(found, "weight"):
        raise UserError(
            "this network ends in no single layer that a second stage could replace; set"
            " backbone.head = 'linear' or 'cosine', or second_stage.name = 'none'"
        )
    return found


class BeforeClassifier(nn.Module):
    """A network up to its classifier."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, photos: Tensor) -> Tensor:
        """Features [b, d] of what the network takes."""
        given: list[Tensor] = []

        def keep(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            given.append(arguments[0])

        handle = classifier_of(self.network).register_forward_pre_hook(keep)
        try:
            self.network(photos)
        finally:
            handle.remove()
        return given[0].float()
