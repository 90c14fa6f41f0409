"""How families of checkpoints differ: in their texts, their added conditions and their
autoencoders.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from discl.core.interfaces import Photos


class Words(NamedTuple):
    """Prompts as the denoiser reads them."""

    hidden: Tensor  # [b, tokens, d]
    pooled: Tensor  # [b, d]; d = 0 where the family has none


class Classic:
    """Stable Diffusion 1 and 2, their Turbo models, latent consistency models."""

    empty_is_zero = (
        False  # whether an empty negative prompt stands for zeros, not for the embedding of ""
    )

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.vae = pipeline.vae
        self.unet = pipeline.unet

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype  # type: ignore[no-any-return]

    @property
    def device(self) -> torch.device:
        return self.unet.device  # type: ignore[no-any-return]

    def settle(self, dtype: torch.dtype) -> None:
        """Compute in `dtype` from here on."""
        self.pipeline.to(dtype)

    def embed(self, texts: list[str]) -> Words:
        hidden, _ = self.pipeline.encode_prompt(texts, self.device, 1, False)
        return Words(hidden, hidden.new_zeros(len(texts), 0))

    def added(
        self, pooled: Tensor, size: tuple[int, int], scores: list[float]
    ) -> dict[str, Tensor] | None:
        """What the denoiser hears beyond the prompt: its pooled form, the (height, width), an
        aesthetic score for each image.
        """
        return None

    def guidance(self, text_guidance: float) -> Tensor | None:
        """[1, d], for denoisers that were taught what guidance does and need none afterwards (Luo
        et al. 2023).
        """
        dim = self.unet.config.time_cond_proj_dim
        if dim is None:
            return None
        row: Tensor = self.pipeline.get_guidance_scale_embedding(
            torch.tensor([text_guidance - 1.0]), embedding_dim=dim
        )
        return row.to(self.device, self.dtype)

    @cached_property
    def samples(self) -> bool:
        """Whether the autoencoder answers with a distribution that latents are drawn from."""
        side = 8 * self.pipeline.vae_scale_factor
        return hasattr(self._encoded(torch.zeros(1, 3, side, side)), "latent_dist")

    def encode(self, photos: list[Photos]) -> tuple[Tensor, Tensor | None]:
        """Mean and deviation [b, c, h, w] of the unscaled latents; no deviation where the
        autoencoder has one answer.
        """
        # as images, not as arrays: those diffusers brings to a size without interpolation
        answer = self._encoded(
            self.pipeline.image_processor.preprocess([Image.fromarray(photo) for photo in photos])
        )
        return (
            (answer.latent_dist.mean, answer.latent_dist.std)
            if self.samples
            else (answer.latents, None)
        )

    def _encoded(self, pixels: Tensor) -> Any:
        return self.vae.encode(pixels.to(self.vae.device, self.vae.dtype))

    def scaled(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents as the denoiser knows them."""
        return self.vae.config.scaling_factor * latents.to(self.dtype)  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures [b, 3, h, w] in -1..1 from the denoiser's latents."""
        return self.vae.decode(latents / self.vae.config.scaling_factor, return_dict=False)[0]  # type: ignore[no-any-return]

    def withheld(self, decoded: Tensor) -> list[bool]:
        """Which pictures the checkpoint's own safety checker, if it has one, does not let out."""
        _, flags = self.pipeline.run_safety_checker(decoded.clone(), decoded.device, self.dtype)
        return [False] * len(decoded) if flags is None else list(flags)


class Large(Classic):
    """SDXL's base, its refiner (Podell et al. 2023), its Turbo models."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        self.empty_is_zero = pipeline.config.force_zeros_for_empty_prompt
        self.scored = pipeline.config.requires_aesthetics_score
        self.upcast = getattr(pipeline.vae.config, "force_upcast", False)

    def settle(self, dtype: torch.dtype) -> None:
        super().settle(dtype)
        if (
            self.upcast
        ):  # this autoencoder overflows in float16; diffusers would decode with it in bfloat16
            self.vae.to(torch.float32)

    def embed(self, texts: list[str]) -> Words:
        hidden, _, pooled, _ = self.pipeline.encode_prompt(
            texts, device=self.device, do_classifier_free_guidance=False
        )
        return Words(hidden, pooled)

    def added(
        self, pooled: Tensor, size: tuple[int, int], scores: list[float]
    ) -> dict[str, Tensor] | None:
        rows = [[*size, 0, 0, *([score] if self.scored else size)] for score in scores]
        return {
            "text_embeds": pooled,
            "time_ids": torch.tensor(rows, dtype=pooled.dtype, device=pooled.device),
        }

    def scaled(self, latents: Tensor) -> Tensor:
        mean, std = self._moments(self.dtype)
        return (latents.to(self.dtype) - mean) * self.vae.config.scaling_factor / std  # type: ignore[no-any-return]

    def decode(self, latents: Tensor) -> Tensor:
        mean, std = self._moments(self.vae.dtype)
        unscaled = latents.to(self.vae.dtype) * std / self.vae.config.scaling_factor + mean
        return self.vae.decode(unscaled, return_dict=False)[0]  # type: ignore[no-any-return]

    def _moments(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """The latents' mean and deviation [1, c, 1, 1] where the autoencoder states them, else 0
        and 1.
        """
        config = self.vae.config
        stated = (
            getattr(config, "latents_mean", None) or [0.0],
            getattr(config, "latents_std", None) or [1.0],
        )
        mean, std = (
            torch.tensor(values, dtype=dtype, device=self.device).view(1, -1, 1, 1)
            for values in stated
        )
        return mean, std

    def withheld(self, decoded: Tensor) -> list[bool]:
        return [False] * len(decoded)


# by the class that the checkpoint's model_index.json names
FAMILIES: dict[str, type[Classic]] = {
    "StableDiffusionPipeline": Classic,
    "StableDiffusionImg2ImgPipeline": Classic,
    "StableDiffusionXLPipeline": Large,
    "StableDiffusionXLImg2ImgPipeline": Large,
    "LatentConsistencyModelPipeline": Classic,
    "LatentConsistencyModelImg2ImgPipeline": Classic,
}
