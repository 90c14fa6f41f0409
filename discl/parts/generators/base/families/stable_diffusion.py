"""Stable Diffusion and SDXL, whose denoiser is a U-Net."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.parts.generators.base.adapters.conditioning import DenoiserCall, PhotoConditions
from discl.parts.generators.base.families.base import Family, PromptEmbeddings


class StableDiffusion(Family):
    """Stable Diffusion 1 and 2 (Rombach et al. 2022), Turbo models, latent consistency models."""

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        self._text_encoders_to(self.device)
        hidden, _ = self.pipeline.encode_prompt(prompts, self.device, 1, False)
        return PromptEmbeddings(hidden, hidden.new_zeros(len(prompts), 0))

    def added(self, pooled: Tensor, numbers: Tensor | None) -> dict[str, Tensor] | None:
        """Inputs of the denoiser beside the prompt; None = nothing.

        It may depend on the pooled prompts [b, d] and each image's `numbers` [b, k].
        """
        return None

    def guidance_embedding(self, text_guidance: float) -> Tensor | None:
        """[1, d], for denoisers distilled from guided ones (Luo et al. 2023); None elsewhere."""
        dim = self.denoiser.config.time_cond_proj_dim
        if dim is None:
            return None
        row: Tensor = self.pipeline.get_guidance_scale_embedding(
            torch.tensor([text_guidance - 1.0]), embedding_dim=dim
        )
        return row.to(self.device, self.dtype)

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        numbers: Tensor | None,
        guidance: Tensor | None,
        photos: PhotoConditions | None = None,
    ) -> Tensor:
        added = self.added(prompts.pooled, numbers)
        more: dict[str, Any] = {"added_cond_kwargs": added}
        if photos is not None:
            more = photos.inputs(DenoiserCall(latents, timesteps, prompts.hidden, added))
        return self.denoiser(  # type: ignore[no-any-return]
            latents,
            timesteps,
            encoder_hidden_states=prompts.hidden,
            timestep_cond=guidance,
            return_dict=False,
            **more,
        )[0]

    def scaled(self, latents: Tensor) -> Tensor:
        return self.vae.config.scaling_factor * latents.to(self.dtype)  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        return self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]  # type: ignore[no-any-return]

    def flagged(self, decoded: Tensor) -> list[bool]:
        _, flags = self.pipeline.run_safety_checker(decoded.clone(), decoded.device, self.dtype)
        return [False] * len(decoded) if flags is None else list(flags)


class SDXL(StableDiffusion):
    """SDXL's base, its refiner (Podell et al. 2023), its Turbo models."""

    def __init__(self, pipeline: Any, rest_text: bool | None = False) -> None:
        super().__init__(pipeline, rest_text)
        self.empty_is_zero = pipeline.config.force_zeros_for_empty_prompt
        self.scored = pipeline.config.requires_aesthetics_score
        self.upcast = getattr(pipeline.vae.config, "force_upcast", False)
        self._moments_by_dtype: dict[torch.dtype, tuple[Tensor, Tensor]] = {}

    def to_dtype(self, dtype: torch.dtype) -> None:
        super().to_dtype(dtype)
        # this autoencoder overflows in float16. bfloat16 has the range of float32, and a GPU is
        # faster in it
        if self.upcast and dtype != torch.float32:
            self.vae.to(torch.bfloat16 if self.device.type == "cuda" else torch.float32)

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        self._text_encoders_to(self.device)
        hidden, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        return PromptEmbeddings(hidden, pooled)

    def numbers(self, size: tuple[int, int], scores: list[float]) -> Tensor | None:
        """[b, k], sizes and offsets, or the aesthetic score, in the type that prompts have."""
        rows = [[*size, 0, 0, *([score] if self.scored else size)] for score in scores]
        return uploaded(torch.tensor(rows, dtype=self.dtype), self.device)

    def added(self, pooled: Tensor, numbers: Tensor | None) -> dict[str, Tensor] | None:
        """Pooled prompts [b, d] and numbers [b, k], of which SDXL always has some."""
        return {} if numbers is None else {"text_embeds": pooled, "time_ids": numbers}

    def scaled(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents [b, c, h, w], standardised where it states their moments."""
        mean, std = self._moments(self.dtype)
        return (latents.to(self.dtype) - mean) * self.vae.config.scaling_factor / std  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        mean, std = self._moments(self.vae.dtype)
        unscaled = latents.to(self.vae.dtype) * std / self.vae.config.scaling_factor + mean
        return self.vae.decode(unscaled, return_dict=False)[0]  # type: ignore[no-any-return]

    def _moments(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """Mean and deviation [1, c, 1, 1] of latents; 0 and 1 where the autoencoder has none."""
        if dtype not in self._moments_by_dtype:
            config = self.vae.config
            mean = getattr(config, "latents_mean", None) or [0.0]
            std = getattr(config, "latents_std", None) or [1.0]
            self._moments_by_dtype[dtype] = (self._column(mean, dtype), self._column(std, dtype))
        return self._moments_by_dtype[dtype]

    def _column(self, values: list[float], dtype: torch.dtype) -> Tensor:
        return uploaded(torch.tensor(values, dtype=dtype), self.device).view(1, -1, 1, 1)

    def flagged(self, decoded: Tensor) -> list[bool]:
        """SDXL's images [b, 3, h, w] have no safety checker."""
        return [False] * len(decoded)
