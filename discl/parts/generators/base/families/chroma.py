"""Chroma."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from discl.parts.generators.base.families.base import PromptEmbeddings
from discl.parts.generators.base.families.flow import PackedFlow


class Chroma(PackedFlow):
    """Chroma (Lodestone Rock 2025): FLUX.1 schnell with T5 alone and classifier-free guidance.

    `PromptEmbeddings.pooled` [b, tokens] is 1 for the tokens of a prompt and one of those that fill
    it up. As diffusers 0.42.1 does, that is added to the logits of attention, which masks nothing.
    """

    pipeline_class = "ChromaImg2ImgPipeline"
    reads: ClassVar[Mapping[str, int]] = {"tokenizer": 512}

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        self._text_encoders_to(self.device)
        hidden, _, mask, *_ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        return PromptEmbeddings(hidden, mask)

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        numbers: Tensor | None,
        guidance: Tensor | None,
    ) -> Tensor:
        patches = self.packed(latents)
        mask = self.pipeline._prepare_attention_mask(
            batch_size=len(patches),
            sequence_length=patches.shape[1],
            dtype=latents.dtype,
            attention_mask=prompts.pooled,
        )
        return self.denoiser(  # type: ignore[no-any-return]
            hidden_states=patches,
            timestep=timesteps / 1000,
            encoder_hidden_states=prompts.hidden,
            txt_ids=latents.new_zeros(prompts.hidden.shape[1], 3),
            img_ids=self.places(latents),
            attention_mask=mask,
            return_dict=False,
        )[0]
