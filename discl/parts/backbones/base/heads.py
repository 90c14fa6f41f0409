"""Classifier heads: linear, or cosines of normalised features and weights."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discl.core.errors import UserError


class CosineLinear(nn.Module):
    """Scaled cosines of features and class weights (Wang et al. 2018, Cao et al. 2019)."""

    def __init__(self, weight: Tensor, scale: float) -> None:
        """`weight` [c, d]: only directions count; `scale`: of the cosines."""
        super().__init__()
        self.weight = nn.Parameter(F.normalize(weight.detach().float(), dim=1))
        self.cosine_scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """Logits [b, c] of features [b, d]."""
        # 8 bits of bf16 would round a logit of 30 to an eighth
        with torch.autocast(features.device.type, enabled=False):
            unit = F.normalize(features.float(), dim=1)
            return self.cosine_scale * F.linear(unit, F.normalize(self.weight.float(), dim=1))

    def reset_parameters(self) -> None:
        """New directions, all as probable, by the global generator."""
        with torch.no_grad():
            self.weight.copy_(F.normalize(torch.randn_like(self.weight), dim=1))


class FeatureHead(nn.Sequential):
    """A head on features of a frozen trunk; the classifier comes last."""

    def get_classifier(self) -> nn.Module:
        """The last layer, as timm's networks have it."""
        return self[-1]

    @property
    def cosine_scale(self) -> float | None:
        """What a cosine head's cosines are multiplied by; None where the head is linear."""
        return getattr(self[-1], "cosine_scale", None)


def feature_head(
    features: int, classes: int, hidden: int, seed: int, scale: float | None = None
) -> FeatureHead:
    """From features [b, d] of a frozen trunk to logits [b, classes].

    Linear, or cosines times `scale` where that is given; with one hidden layer of `hidden` units
    where that is not 0. Features are standardised by BatchNorm without parameters (as in linear
    probing: He et al. 2022, A.1), so that one learning rate fits any trunk.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.BatchNorm1d(features, affine=False)]
        if hidden:
            layers += [nn.Linear(features, hidden), nn.ReLU()]
        linear = nn.Linear(hidden or features, classes)
        layers.append(linear if scale is None else CosineLinear(linear.weight, scale))
        return FeatureHead(*layers)


def with_cosines(network: Any, model: str, scale: float) -> Any:
    """A timm network whose linear classifier gives scaled cosines; its weights [c, d] stay.

    Raises UserError where the network ends in something else.
    """
    name = network.pretrained_cfg.get("classifier")
    linear = network.get_classifier()
    if not isinstance(name, str) or not isinstance(linear, nn.Linear):
        raise UserError(
            f"backbone.head = 'cosine': timm's {model!r} ends in no single linear layer that could"
            " be replaced; take another model, or head = 'linear'"
        )
    above, _, last = name.rpartition(".")
    setattr(network.get_submodule(above), last, CosineLinear(linear.weight, scale))
    network.cosine_scale = scale
    return network
