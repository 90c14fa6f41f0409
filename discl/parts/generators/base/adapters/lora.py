"""Low-rank adapters (Hu et al. 2021) of a checkpoint's denoiser and text encoders."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from discl.core.errors import UserError, reason
from discl.files.weights import without_warnings
from discl.parts.generators.base.adapters.libraries import check_library
from discl.parts.generators.base.adapters.weight_files import (
    check_local,
    digest_of_file,
    read_tensors,
    weights_file,
)

_NETWORKS = ("unet", "transformer", "text_encoder", "text_encoder_2", "text_encoder_3")


@dataclass(frozen=True)
class LoraSetting:
    """`[[generator.lora]]`."""

    file: str
    scale: float = 1.0  # what the file adds is multiplied by it
    weight_name: str = ""  # of the file, in a folder or repository of several

    def check(self) -> None:
        """Raises UserError for a scale without effect, a missing file, or a missing library."""
        if self.scale == 0:
            raise UserError(
                "generator.lora.scale = 0 adds nothing; leave the file out, or set a scale"
            )
        check_local(self.file, self.weight_name, "lora")
        check_library("peft", "generator.lora")

    def identity(self) -> dict[str, Any]:
        """What images depend on."""
        path = weights_file(self.file, self.weight_name, "lora")
        return {"weights": digest_of_file(path), "scale": self.scale}


def add_lora(pipeline: Any, settings: Sequence[LoraSetting], merged: bool) -> None:
    """Load LoRA files into a pipeline, each at its scale.

    `merged`: add them to the weights once and for all, which costs an image nothing, instead of
    computing them beside. Raises UserError for a file of which some tensors have no place: it was
    trained for another family of checkpoints.
    """
    if not settings:
        return
    if not hasattr(pipeline, "load_lora_weights"):
        raise UserError(f"generator.lora: {type(pipeline).__name__} takes no LoRA; leave it out")
    names = [f"lora_{place}" for place in range(len(settings))]
    with without_warnings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft warns of a second adapter, which is meant
        for name, setting in zip(names, settings, strict=True):
            _load(pipeline, name, setting)
        pipeline.set_adapters(names, [setting.scale for setting in settings])
        if merged:
            pipeline.fuse_lora(components=_with_lora(pipeline), lora_scale=1.0, adapter_names=names)
            pipeline.unload_lora_weights()


def _load(pipeline: Any, name: str, setting: LoraSetting) -> None:
    path = weights_file(setting.file, setting.weight_name, "lora")
    tensors = read_tensors(path, "lora")
    wanted = _layers_in(tensors)
    if not wanted:
        raise UserError(
            f"generator.lora.file = {setting.file!r} holds no LoRA, but e.g."
            f" {min(tensors, default='nothing')}; name a LoRA's file"
        )
    wrong_family = f"generator.lora.file = {setting.file!r} is not for this checkpoint"
    way_out = f"take one that was trained for {type(pipeline).__name__}, or another checkpoint"
    try:
        # the file, not its tensors: its header has the settings it was trained with
        pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=name)
    except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, IndexError) as error:
        first = reason(error).splitlines()[0]
        raise UserError(f"{wrong_family} ({first}); {way_out}") from error
    loaded = sum(_layers_of(getattr(pipeline, network, None), name) for network in _NETWORKS)
    if loaded == 0 or loaded < wanted:
        raise UserError(
            f"{wrong_family}: {loaded} of its {wanted} layers have a place in it; {way_out}"
        )


def _layers_in(tensors: dict[str, Any]) -> int:
    """Layers that a file changes, whatever format it is in: each has one matrix that goes up."""
    ups = (".lora_B.", ".lora_up.", ".lora.up.", "_lora.up.", ".lora_linear_layer.up.")
    return sum(any(up in key for up in ups) for key in tensors)


def _layers_of(network: Any, name: str) -> int:
    """Layers of a network that an adapter changes."""
    if network is None:
        return 0
    return sum(name in getattr(module, "lora_B", ()) for module in network.modules())


def _with_lora(pipeline: Any) -> list[str]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [
        network
        for network in _NETWORKS
        if (found := getattr(pipeline, network, None)) is not None
        and any(isinstance(module, BaseTunerLayer) for module in found.modules())
    ]
