"""A diffusion checkpoint's networks on meta tensors, from its configuration files alone."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from discl.core.errors import UserError, reason
from discl.core.plain_files import parsed_json, plain_text
from discl.core.text import typed
from discl.files.disk import resource
from discl.files.shipped import checkpoint_configs
from discl.files.weights import cached_folder, is_hub_id, without_warnings
from discl.harness.price.denoisers import kind_of
from discl.harness.price.work import on_meta

_TEXT_ENCODERS = ("text_encoder", "text_encoder_2", "text_encoder_3")
_NETWORKS = ("unet", "transformer", "vae", *_TEXT_ENCODERS)
# where the classes of a folder's networks may come from: what it names is imported
_LIBRARIES = ("diffusers", "transformers", "discl.parts.generators._patches")


OF_TRANSFORMERS = 128  # latents of a side, where a transformer does not say


class UnknownWorkError(Exception):
    """What a part computes cannot be told from its configuration; the message says why."""


@dataclass(frozen=True)
class CheckpointConfig:
    """What the configuration files of a checkpoint say."""

    title: str
    pipeline: str  # the class that its model_index.json names
    networks: Mapping[str, Mapping[str, Any]]  # unet or transformer, vae, ... -> its config.json
    # precisions its repository holds, each a file of its own; () = not known, or it lies here
    published: tuple[str, ...] = ()

    @property
    def latents_side(self) -> Any:
        """Latents of a side, or [height, width], that the denoiser was made for; None = not known.

        Transformers that do not say are made for images of 1024 pixels.
        """
        if "transformer" in self.networks:
            return self.networks["transformer"].get("sample_size") or OF_TRANSFORMERS
        return self.networks.get("unet", {}).get("sample_size")


def factor_of(vae: Mapping[str, Any]) -> int:
    """Pixels of a side that become one latent, by an autoencoder's configuration."""
    if halvings := vae.get("temperal_downsample"):  # of Qwen-Image's
        return int(2 ** len(halvings))
    return int(2 ** (len(vae.get("block_out_channels") or (1, 1, 1, 1)) - 1))


def config_of(checkpoint: str) -> CheckpointConfig:
    """Of a Hub id whose configuration ships with us or lies in the Hub's cache, or of a folder.

    Raises UserError for a folder without configuration files, and UnknownWorkError where there is
    neither.
    """
    name = checkpoint.partition("@")[0]
    if name in _shipped():
        return _shipped()[name]
    folder = resource(checkpoint)
    if folder.is_dir():
        return _of_folder(folder, checkpoint)
    if not is_hub_id(checkpoint):
        raise UserError(
            f"generator.checkpoint = {checkpoint!r}: no such folder; give one in diffusers' format,"
            " or a Hub id like 'owner/name'"
        )
    cached = cached_folder(checkpoint, ("model_index.json", "*/config.json"))
    if cached is not None:
        return _of_folder(cached, checkpoint)
    fetch = typed("hf", "download", name, "--include", "*.json", "*/*.json")
    raise UnknownWorkError(
        f"the configuration of {checkpoint!r} is neither shipped nor in the Hub's cache; `{fetch}`"
        " fetches it without the weights"
    )


def shipped_ids() -> tuple[str, ...]:
    """Hub ids whose configurations ship with us."""
    return tuple(_shipped())


@cache
def _shipped() -> dict[str, CheckpointConfig]:
    return {
        checkpoint: CheckpointConfig(
            content["title"],
            content["pipeline"],
            {name: content[name] for name in _NETWORKS if name in content},
            tuple(content["published"]),
        )
        for checkpoint, content in checkpoint_configs().items()
    }


def _of_folder(folder: Path, checkpoint: str) -> CheckpointConfig:
    index = _json(folder / "model_index.json", checkpoint)
    networks = {}
    for name in _NETWORKS:
        library, kind = _named(index.get(name))
        if library is not None:
            content = dict(_json(folder / name / "config.json", checkpoint))
            networks[name] = content | {"_class_name": kind, "_library": library}
    return CheckpointConfig(checkpoint, str(index.get("_class_name")), networks)


def _named(entry: Any) -> tuple[str | None, str]:
    """(library, class) of an entry of model_index.json; (None, "") where it has no such network."""
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(e, str) for e in entry):
        return entry[0], entry[1]
    return None, ""


def _json(path: Path, checkpoint: str) -> Mapping[str, Any]:
    try:
        content = parsed_json(plain_text(path))
        if not isinstance(content, dict):
            raise TypeError("no object")
    except FileNotFoundError as error:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r} has no {path.parent.name}/{path.name}, so what"
            " it computes is not known; name a folder in diffusers' format, with model_index.json"
            " and the config.json of each network"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r}: {path.name} is no JSON object ({error})"
        ) from error
    return content


class Networks:
    """The networks of a checkpoint on meta tensors, in float32 and in eval mode.

    Raises UnknownWorkError where the checkpoint is of no family that is known, or a network cannot
    be built from its configuration.
    """

    def __init__(self, config: CheckpointConfig) -> None:
        from discl.parts.generators.base.families import FAMILIES, SDXL

        family = FAMILIES.get(config.pipeline)
        if family is None:
            raise UnknownWorkError(
                f"{config.title} is a {config.pipeline}, a family whose work is not known; known"
                f" are {', '.join(FAMILIES)}"
            )
        name = family.denoiser_name
        if not {name, "vae"} <= set(config.networks):
            raise UnknownWorkError(f"{config.title} names no {name} or no vae in its configuration")
        kind = str(config.networks[name].get("_class_name"))
        if name != "unet" and kind_of(kind) is None:
            raise UnknownWorkError(
                f"{config.title} has a {kind} for its {name}, whose work is not known"
            )
        self.config = config
        self.family = family
        self.kind = kind_of(kind)  # None = the denoiser is a U-Net
        with without_warnings(), on_meta():
            built = {name: _built(name, given) for name, given in config.networks.items()}
        self.denoiser: Any = built[name]
        self.vae: Any = built["vae"]
        self.text_encoders = [built[name] for name in _TEXT_ENCODERS if name in built]
        # its autoencoder may overflow in float16, and then works in another precision
        self.upcasts = issubclass(family, SDXL)

    @property
    def all(self) -> list[nn.Module]:
        return [self.denoiser, self.vae, *self.text_encoders]

    @contextmanager
    def in_dtype(self, network: nn.Module, dtype: torch.dtype) -> Iterator[None]:
        """One of them in `dtype`, until the block ends."""
        with without_warnings():
            network.to(dtype)
        try:
            yield
        finally:
            with without_warnings():
                network.to(torch.float32)


def _built(name: str, config: Mapping[str, Any]) -> nn.Module:
    kind = str(config.get("_class_name"))
    library = str(config.get("_library", "transformers" if name in _TEXT_ENCODERS else "diffusers"))
    if library not in _LIBRARIES:
        raise UnknownWorkError(f"its {name} is a {kind} of {library}, which is not known here")
    own = {key: value for key, value in config.items() if not key.startswith("_")}
    try:
        network_class = getattr(importlib.import_module(library), kind)
        if library == "transformers":
            network = network_class(network_class.config_class(**own))
        else:
            network = network_class.from_config(own)
    except Exception as error:  # of another library, by whatever the file says
        raise UnknownWorkError(
            f"its {name}, a {kind}, cannot be built from its configuration ({reason(error)})"
        ) from error
    return network.eval().requires_grad_(False)  # type: ignore[no-any-return]
