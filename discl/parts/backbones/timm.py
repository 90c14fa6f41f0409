"""Any timm model by name, trained from scratch or from timm's weights, with a stem for small photos on request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discl.spec.errors import UserError, unknown

if TYPE_CHECKING:
    from torch import nn


class Timm:
    """`model` is any name of `timm.list_models()`; `arguments` go to `timm.create_model` as they are.

    `small_stem` gives a ResNet a stem of stride 1 without pooling, in place of stride 4: the usual change for
    32 px photos. `pretrained` fetches timm's weights from the Hugging Face Hub.
    """

    version = 1

    def __init__(
        self,
        model: str = "resnet18",
        pretrained: bool = False,
        small_stem: bool = False,
        arguments: dict[str, Any] | None = None,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.25, 0.25, 0.25),
    ) -> None:
        self.model, self.pretrained, self.small_stem = model, pretrained, small_stem
        self.arguments = dict(arguments or {})
        self.mean = (mean[0], mean[1], mean[2])
        self.std = (std[0], std[1], std[2])

    def build(self, classes: int, seed: int) -> nn.Module:
        import timm
        import torch

        if not timm.is_model(self.model):
            raise unknown("timm model", self.model, timm.list_models())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                network: nn.Module = timm.create_model(
                    self.model, pretrained=self.pretrained, num_classes=classes, **_as_tuples(self.arguments)
                )
            except TypeError as error:
                raise UserError(f"timm model {self.model!r} does not take backbone.arguments {self.arguments}: {error}") from error
            if self.small_stem:
                _shrink_stem(network, self.model)
        return network


def _as_tuples(arguments: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}


def _shrink_stem(network: nn.Module, model: str) -> None:
    from torch import nn

    stem = getattr(network, "conv1", None)
    if not isinstance(stem, nn.Conv2d | nn.Sequential) or not hasattr(network, "maxpool"):
        raise UserError(f"backbone.small_stem works for ResNets; {model!r} has no such stem, so set it to false")
    if isinstance(stem, nn.Sequential):  # timm's deep stem: three 3x3 convolutions, of which the first has stride 2
        stem[0].stride = (1, 1)  # type: ignore[assignment]
    else:
        network.conv1 = nn.Conv2d(stem.in_channels, stem.out_channels, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.maxpool = nn.Identity()
