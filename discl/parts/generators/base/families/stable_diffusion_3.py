"""Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from discl.core.errors import UserError
from discl.parts.generators.base.families.base import PromptEmbeddings
from discl.parts.generators.base.families.flow import EULER, HEUN, Flow


class StableDiffusion3(Flow):
    """Stable Diffusion 3 and 3.5 (Esser et al. 2024): two CLIPs, T5, classifier-free guidance."""

    pipeline_class = "StableDiffusion3Img2ImgPipeline"
    flow_schedulers = (EULER, HEUN)
    # the scheduler's own grid: shifted once when it is made and once more between its ends
    hands_sigmas = False
    reads: ClassVar[Mapping[str, int]] = {"tokenizer_3": 256}

    def latent_shape(self, height: int, width: int) -> tuple[int, ...]:
        """[1, c, h, w]; raises UserError for an image larger than the denoiser has places for."""
        most = (self.denoiser.config.pos_embed_max_size or 0) * self.side
        if most and max(height, width) > most:
            raise UserError(
                f"generator.size: this checkpoint has places for {most} pixels a side, got"
                f" {width}x{height}; set a smaller generator.size"
            )
        return super().latent_shape(height, width)

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        self._text_encoders_to(self.device)
        hidden, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, None, None, device=self.device, do_classifier_free_guidance=False
        )
        return PromptEmbeddings(hidden, pooled)

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        numbers: Tensor | None,
        guidance: Tensor | None,
    ) -> Tensor:
        return self.denoiser(  # type: ignore[no-any-return]
            hidden_states=latents,
            timestep=timesteps,
            encoder_hidden_states=prompts.hidden,
            pooled_projections=prompts.pooled,
            return_dict=False,
        )[0]
