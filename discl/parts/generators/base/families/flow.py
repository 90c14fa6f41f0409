"""Flow matching: latents lie on the straight line from photo to noise, and their velocity is told.

x = (1 - sigma) * photo + sigma * noise (Lipman et al. 2023; Liu et al. 2023); the denoiser answers
with noise - photo.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.parts.generators.base.families.base import Family
from discl.parts.generators.base.families.sampling import Sampling

EULER = "FlowMatchEulerDiscreteScheduler"
HEUN = "FlowMatchHeunDiscreteScheduler"


class Flow(Family):
    """Transformers that take patches of 2x2 latents, and an autoencoder with a shift."""

    denoiser_name = "transformer"
    is_convolutional = False
    patch = 2
    # their text encoders are large and fill prompts up, so one at a time keeps a GPU busy; and an
    # encoder that fills up to the longest of a batch would change last bits
    texts_at_once = 1
    flow_schedulers: ClassVar[tuple[str, ...]] = (EULER,)
    # whether diffusers' pipeline of the family hands in the sigmas 1 .. 1/steps, which the
    # scheduler then shifts, instead of leaving them to the scheduler
    hands_sigmas: ClassVar[bool] = True

    @classmethod
    def grid_options(cls, config: Mapping[str, Any], steps: int, tokens: int) -> dict[str, Any]:
        """`sigmas` and `mu` as diffusers' pipeline gives them.

        `mu` is the shift of the grid towards noise, which follows the number of tokens where the
        scheduler's `use_dynamic_shifting` is true (Esser et al. 2024, section 5.3.2).
        """
        options: dict[str, Any] = {}
        if cls.hands_sigmas:
            options["sigmas"] = cls.sigmas(steps)
        if config.get("use_dynamic_shifting"):
            options["mu"] = shift_of(
                tokens,
                config.get("base_image_seq_len", 256),
                config.get("max_image_seq_len", 4096),
                config.get("base_shift", 0.5),
                config.get("max_shift", 1.15),
            )
        return options

    @classmethod
    def sigmas(cls, steps: int) -> list[float]:
        """The noise of each place [steps], before the scheduler shifts it."""
        return np.linspace(1.0, 1 / steps, steps).tolist()  # type: ignore[no-any-return]

    def check(self, sampling: Sampling) -> None:
        super().check(sampling)
        given = {"negative_prompt": sampling.negative_prompt}
        if sampling.negative_prompts:
            given["negative_prompts"] = sampling.negative_prompts.file
        for name, value in given.items():
            if value and not self.is_guided(sampling.most_guidance):
                raise UserError(
                    f"generator.{name} = {value!r}: this checkpoint ({type(self).__name__}) has no"
                    f" use for one at generator.text_guidance = {sampling.most_guidance:g}; leave"
                    " it empty"
                )

    def scaled(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        shift = config.shift_factor or 0.0
        return (latents.to(self.dtype) - shift) * config.scaling_factor  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        unscaled = latents.to(self.vae.dtype) / config.scaling_factor + (config.shift_factor or 0.0)
        return self.vae.decode(unscaled, return_dict=False)[0]  # type: ignore[no-any-return]


class PackedFlow(Flow):
    """Families whose denoiser takes an image as a row of its patches, [b, tokens, 4 c]."""

    def latent_shape(self, height: int, width: int) -> tuple[int, ...]:
        factor = self.pipeline.vae_scale_factor
        channels = self.denoiser.config.in_channels // self.patch**2
        return (1, channels, height // factor, width // factor)

    def packed(self, latents: Tensor) -> Tensor:
        """Latents [b, c, h, w] as a row of patches [b, h / 2 * w / 2, 4 c]."""
        b, c, h, w = latents.shape
        return self.pipeline._pack_latents(latents, b, c, h, w)  # type: ignore[no-any-return]

    def places(self, latents: Tensor) -> Tensor:
        """Row and column [h / 2 * w / 2, 3] of each patch of latents [b, c, h, w]."""
        down, across = (
            torch.arange(side // self.patch, device=latents.device) for side in latents.shape[2:]
        )
        rows, columns = torch.meshgrid(down, across, indexing="ij")
        places = torch.stack([torch.zeros_like(rows), rows, columns], dim=-1)
        return places.flatten(0, 1).to(latents.dtype)

    def as_latents(self, prediction: Tensor, height: int, width: int) -> Tensor:
        factor = self.pipeline.vae_scale_factor
        return self.pipeline._unpack_latents(  # type: ignore[no-any-return]
            prediction, height * factor, width * factor, factor
        )


def shift_of(tokens: int, few: int, many: int, shift_of_few: float, shift_of_many: float) -> float:
    """The grid's shift for so many tokens: on a straight line through two numbers of them.

    As `calculate_shift` of diffusers' FLUX has it, to the last bit; that one is not called, since
    its module imports networks that a table of levels has no use for.
    """
    slope = (shift_of_many - shift_of_few) / (many - few)
    return tokens * slope + (shift_of_few - slope * few)
