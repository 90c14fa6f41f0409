"""FLUX.1, dev and schnell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.parts.generators.base.families.base import PromptEmbeddings
from discl.parts.generators.base.families.flow import PackedFlow
from discl.parts.generators.base.families.sampling import Sampling


class Flux(PackedFlow):
    """FLUX.1 (Black Forest Labs 2024): T5 and a CLIP's summary; dev takes guidance as an input."""

    pipeline_class = "FluxImg2ImgPipeline"
    reads: ClassVar[Mapping[str, int]] = {"tokenizer_2": 512}

    def check(self, sampling: Sampling) -> None:
        super().check(sampling)
        if sampling.most_guidance > 1 and self.guidance_embedding(1.0) is None:
            raise UserError(
                f"generator.text_guidance = {sampling.most_guidance:g}: this checkpoint (FLUX.1"
                " schnell) takes no guidance; set it to 1"
            )

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        self._text_encoders_to(self.device)
        hidden, pooled, _ = self.pipeline.encode_prompt(prompts, device=self.device)
        return PromptEmbeddings(hidden, pooled)

    def is_guided(self, text_guidance: float) -> bool:
        return False

    def guidance_embedding(self, text_guidance: float) -> Tensor | None:
        """[1], the guidance itself; None for schnell."""
        if not self.denoiser.config.guidance_embeds:
            return None
        return torch.full([1], text_guidance, dtype=torch.float32, device=self.device)

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        numbers: Tensor | None,
        guidance: Tensor | None,
    ) -> Tensor:
        return self.denoiser(  # type: ignore[no-any-return]
            hidden_states=self.packed(latents),
            timestep=timesteps.to(latents.dtype) / 1000,
            guidance=guidance,
            pooled_projections=prompts.pooled,
            encoder_hidden_states=prompts.hidden,
            txt_ids=latents.new_zeros(prompts.hidden.shape[1], 3),
            img_ids=self.places(latents),
            return_dict=False,
        )[0]
