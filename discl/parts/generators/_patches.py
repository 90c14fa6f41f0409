"""A linear autoencoder of photo patches, as a component of diffusers' pipelines.

diffusers loads a class from outside its own libraries only if the module was imported before, so
`base/loading.py` imports this one. The shipped checkpoint names it, so it stays where it is.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ModelMixin
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTinyOutput
from diffusers.models.autoencoders.vae import DecoderOutput
from torch import Tensor, nn

PATCH = 4


class PatchAutoencoder(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A linear map of patches and its inverse.

    From images [b, 3, h, w] in [-1, 1] to latents [b, latent_channels, h/4, w/4], and back.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        latent_channels: int = 16,
        scaling_factor: float = 1.0,
        # pipelines read the factor between pixels and latents off the length of this: 2 ** (3 - 1)
        block_out_channels: tuple[int, ...] = (1, 1, 1),
    ) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, latent_channels, PATCH, PATCH, bias=False)
        self.decoder = nn.ConvTranspose2d(latent_channels, 3, PATCH, PATCH, bias=False)

    def encode(self, x: Tensor, return_dict: bool = True) -> Any:
        latents = self.encoder(x)
        return AutoencoderTinyOutput(latents=latents) if return_dict else (latents,)

    def decode(
        self, z: Tensor, generator: torch.Generator | None = None, return_dict: bool = True
    ) -> Any:
        sample = self.decoder(z)
        return DecoderOutput(sample=sample) if return_dict else (sample,)
