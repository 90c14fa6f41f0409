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
            "this network ends in no single layer that could be trained by itself; set"
            " backbone.head = 'linear' or 'cosine', or second_stage.name = 'none' and"
            " train.head_only_epochs = 0"
        )
    return found


class Trunk:
    """All of a network but its classifier, which may be held still while the classifier learns.

    Raises UserError as `classifier_of`.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._classifier = classifier_of(network)
        kept = {id(parameter) for parameter in self._classifier.parameters()}
        self._parameters = [each for each in network.parameters() if id(each) not in kept]

    def set_modes(self) -> None:
        """The classifier trains; statistics of norms and dropout in the trunk stay as they are."""
        self._network.eval()
        self._classifier.train()

    def drop_gradients(self) -> None:
        """Optimisers pass over parameters without a gradient, weight decay included."""
        for parameter in self._parameters:
            parameter.grad = None


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
