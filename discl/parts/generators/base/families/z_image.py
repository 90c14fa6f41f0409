"""Z-Image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from discl.parts.generators.base.families.base import PromptEmbeddings
from discl.parts.generators.base.families.flow import Flow


class ZImage(Flow):
    """Z-Image and its Turbo (Alibaba 2025): prompts by Qwen3, latents and prompts in one row.

    `text_guidance` is the weight of guidance as everywhere, which is diffusers' `guidance_scale`
    for this family plus 1.
    """

    pipeline_class = "ZImageImg2ImgPipeline"
    # beside the three tokens that begin a message; those that end it are cut first
    reads: ClassVar[Mapping[str, int]] = {"tokenizer": 509}
    token_step = 32  # as the denoiser fills them up itself

    @classmethod
    def sigmas(cls, steps: int) -> list[float]:
        return torch.linspace(1.0, 1 / steps, steps).tolist()  # type: ignore[no-any-return]

    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        self._text_encoders_to(self.device)
        # which writes into the list that it gets
        hidden, _ = self.pipeline.encode_prompt(
            list(prompts), device=self.device, do_classifier_free_guidance=False
        )
        lengths = torch.tensor([len(tokens) for tokens in hidden])
        nothing = hidden[0].new_zeros(len(prompts), 0)
        return PromptEmbeddings(pad_sequence(hidden, batch_first=True), nothing, lengths)

    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        numbers: Tensor | None,
        guidance: Tensor | None,
    ) -> Tensor:
        lengths = [] if prompts.lengths is None else prompts.lengths.tolist()
        texts = [tokens[:length] for tokens, length in zip(prompts.hidden, lengths, strict=True)]
        found = self.denoiser(
            list(latents[:, :, None].unbind()),
            (1000 - timesteps) / 1000,
            texts,
            return_dict=False,
        )[0]
        return -torch.stack([velocity.float() for velocity in found])[:, :, 0]
