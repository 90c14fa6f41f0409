"""Qwen-Image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.parts.generators.base.families.base import PromptEmbeddings
from discl.parts.generators.base.families.flow import PackedFlow
from discl.parts.generators.base.families.sampling import Sampling


class QwenImage(PackedFlow):
    """Qwen-Image (Wu et al. 2025): prompts by Qwen2.5-VL, an autoencoder of videos of one picture.

    `text_guidance` is diffusers' `true_cfg_scale`; a guided prediction gets the norm of the
    unguided one, patch by patch.
    """

    pipeline_class = "QwenImageImg2ImgPipeline"
    reads: ClassVar[Mapping[str, int]] = {"tokenizer": 512}
    token_step = 64

    def check(self, sampling: Sampling) -> None:
        super().check(sampling)
        if sampling.guidance_rescale:
            raise UserError(
                f"generator.guidance_rescale = {sampling.guidance_rescale:g}: guided predictions of"
                " Qwen-Image are brought to the norm of unguided ones anyway; leave it at 0"
            )

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        self._text_encoders_to(self.device)
        hidden, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, max_sequence_length=self.reads["tokenizer"]
        )
        lengths = torch.full([len(prompts)], hidden.shape[1])
        return PromptEmbeddings(hidden, hidden.new_zeros(len(prompts), 0), lengths)

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        numbers: Tensor | None,
        guidance: Tensor | None,
    ) -> Tensor:
        b, tokens, _ = prompts.hidden.shape
        down, across = (side // self.patch for side in latents.shape[2:])
        mask = None
        if prompts.lengths is not None:
            mask = uploaded(torch.arange(tokens) < prompts.lengths[:, None], self.device)
        return self.denoiser(  # type: ignore[no-any-return]
            hidden_states=self.packed(latents),
            timestep=timesteps.to(latents.dtype) / 1000,
            encoder_hidden_states=prompts.hidden,
            encoder_hidden_states_mask=mask,
            img_shapes=[[(1, down, across)]] * b,
            return_dict=False,
        )[0]

    def guided(self, negative: Tensor, positive: Tensor, text_guidance: float | Tensor) -> Tensor:
        combined = super().guided(negative, positive, text_guidance)
        wanted, given = (norms.norm(dim=-1, keepdim=True) for norms in (positive, combined))
        normed: Tensor = combined * (wanted / given)
        return normed

    def as_latents(self, prediction: Tensor, height: int, width: int) -> Tensor:
        return super().as_latents(prediction, height, width)[:, :, 0]

    def _encoded(self, pixels: Tensor) -> Any:
        return super()._encoded(pixels[:, :, None])

    def encode(self, photos: list[Photos]) -> tuple[Tensor, Tensor | None]:
        mean, std = super().encode(photos)
        return mean[:, :, 0], None if std is None else std[:, :, 0]

    def scaled(self, latents: Tensor) -> Tensor:
        mean, std = self._moments(self.dtype)
        return (latents.to(self.dtype) - mean) * (1.0 / std)

    def decode(self, latents: Tensor) -> Tensor:
        mean, std = self._moments(self.vae.dtype)
        unscaled = latents.to(self.vae.dtype) / (1.0 / std) + mean
        return self.vae.decode(unscaled[:, :, None], return_dict=False)[0][:, :, 0]  # type: ignore[no-any-return]

    def _moments(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean and deviation [1, c, 1, 1] of latents."""
        config = self.vae.config
        columns = [
            uploaded(torch.tensor(values, dtype=dtype), self.device).view(1, -1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        ]
        return columns[0], columns[1]
