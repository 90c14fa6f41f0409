"""Families of checkpoints, which differ in prompts, added conditions and autoencoders."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.core.interfaces import Photos


class PromptEmbeddings(NamedTuple):
    """Prompts as the denoiser reads them."""

    hidden: Tensor  # [b, tokens, d]
    pooled: Tensor  # [b, d]; d = 0 where the family has none


class StableDiffusion:
    """Stable Diffusion 1 and 2 (Rombach et al. 2022), Turbo models, latent consistency models."""

    # whether an empty negative prompt stands for zeros, not for the embedding of ""
    empty_is_zero = False

    def __init__(self, pipeline: Any, rest_text: bool | None = False) -> None:
        """`rest_text`: text encoders leave a GPU between prompts; None = where memory is short."""
        self.pipeline = pipeline
        self.rest_text = rest_text
        self.vae = pipeline.vae
        self.unet = pipeline.unet
        # asked for at each call of the denoiser, and diffusers looks through all modules for them
        self.device: torch.device = pipeline.unet.device
        self.dtype: torch.dtype = pipeline.unet.dtype

    def to_dtype(self, dtype: torch.dtype) -> None:
        """Compute in `dtype` from here on."""
        self.pipeline.to(dtype)
        self.dtype = dtype

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        """Embeddings of b prompts."""
        self._text_encoders_to(self.device)
        hidden, _ = self.pipeline.encode_prompt(prompts, self.device, 1, False)
        return PromptEmbeddings(hidden, hidden.new_zeros(len(prompts), 0))

    def rest_text_encoders(self) -> None:
        """Prompts are embedded and the next ones may be far away: make room, where that is due."""
        rest = self.rest_text
        if rest is None:
            rest = self.device.type == "cuda" and _memory_is_short(self.device)
        if rest:
            self._text_encoders_to(torch.device("cpu"))

    def _text_encoders_to(self, device: torch.device) -> None:
        for name in ("text_encoder", "text_encoder_2"):
            encoder = getattr(self.pipeline, name, None)
            if encoder is not None and encoder.device != device:
                encoder.to(device)

    def numbers(self, size: tuple[int, int], scores: list[float]) -> Tensor | None:
        """[b, k], what the denoiser is told of the (height, width) and b aesthetic scores.

        None = it takes no such numbers.
        """
        return None

    def added(self, pooled: Tensor, numbers: Tensor | None) -> dict[str, Tensor] | None:
        """Inputs of the denoiser beside the prompt; None = nothing.

        It may depend on the pooled prompts [b, d] and each image's `numbers` [b, k].
        """
        return None

    def guidance_embedding(self, text_guidance: float) -> Tensor | None:
        """[1, d], for denoisers distilled from guided ones (Luo et al. 2023); None elsewhere."""
        dim = self.unet.config.time_cond_proj_dim
        if dim is None:
            return None
        row: Tensor = self.pipeline.get_guidance_scale_embedding(
            torch.tensor([text_guidance - 1.0]), embedding_dim=dim
        )
        return row.to(self.device, self.dtype)

    @cached_property
    def is_sampled(self) -> bool:
        """Whether the autoencoder answers with a distribution that latents are drawn from."""
        side = 8 * self.pipeline.vae_scale_factor
        black = torch.zeros(1, 3, side, side, device=self.device)
        return hasattr(self._encoded(black), "latent_dist")

    def encode(self, photos: list[Photos]) -> tuple[Tensor, Tensor | None]:
        """(mean, deviation) [b, c, h, w] of the unscaled latents of b photos [h, w, 3].

        No deviation where the autoencoder has one answer.
        """
        answer = self._encoded(self._preprocessed(photos))
        if not self.is_sampled:
            return answer.latents, None
        return answer.latent_dist.mean, answer.latent_dist.std

    def _preprocessed(self, photos: list[Photos]) -> Tensor:
        """Photos [h, w, 3] as diffusers prepares them: float32 [b, 3, h, w] in [-1, 1]."""
        factor = self.pipeline.vae_scale_factor
        if any(side % factor for side in photos[0].shape[:2]):
            # as images, not as arrays: those diffusers brings to a size without interpolation
            images = [Image.fromarray(photo) for photo in photos]
            return uploaded(self.pipeline.image_processor.preprocess(images), self.device)
        pixels = uploaded(torch.from_numpy(np.stack(photos)), self.device)
        return 2.0 * (pixels.permute(0, 3, 1, 2).float() / 255.0) - 1.0

    def _encoded(self, pixels: Tensor) -> Any:
        return self.vae.encode(pixels.to(self.vae.dtype))

    def scaled(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents [b, c, h, w] as the denoiser knows them."""
        return self.vae.config.scaling_factor * latents.to(self.dtype)  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        """Images [b, 3, h, w] in [-1, 1] from the denoiser's latents [b, c, h, w]."""
        return self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]  # type: ignore[no-any-return]

    def flagged(self, decoded: Tensor) -> list[bool]:
        """Whether the checkpoint's safety checker, if it has one, flags each of b images.

        `decoded` is [b, 3, h, w] in [-1, 1].
        """
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
        """Images [b, 3, h, w] in [-1, 1] from the denoiser's latents [b, c, h, w]."""
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


def _memory_is_short(device: torch.device) -> bool:
    """Whether less than a quarter of a GPU's memory is free."""
    free, total = torch.cuda.mem_get_info(device)
    return 4 * free < total


# by the class that the checkpoint's model_index.json names
FAMILIES: dict[str, type[StableDiffusion]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionImg2ImgPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": SDXL,
    "StableDiffusionXLImg2ImgPipeline": SDXL,
    "LatentConsistencyModelPipeline": StableDiffusion,
    "LatentConsistencyModelImg2ImgPipeline": StableDiffusion,
}
