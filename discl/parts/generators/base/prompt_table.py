"""Prompts as the denoiser reads them: each is embedded once and kept while it is used."""

from __future__ import annotations

import torch
from torch import Tensor

from discl.parts.generators.base.families import PromptEmbeddings, StableDiffusion
from discl.parts.generators.base.fixed_batches import FixedBatches

_TEXTS = 8  # embedded at a time
MAX_PROMPTS = 512  # embeddings kept; SDXL's take 0.6 MB each in float32


class PromptTable:
    """Embeddings of the prompts that were used last."""

    def __init__(
        self, family: StableDiffusion, negative: str, guided: bool, counts: dict[str, int]
    ) -> None:
        """`guided`: whether the negative prompt is needed as well."""
        self.family = family
        self.negative = negative
        self.has_negative = guided and bool(negative or not family.empty_is_zero)
        self.counts = counts
        self.kept: dict[str, tuple[Tensor, Tensor]] = {}  # last used last
        self._text_encoder = FixedBatches(_TEXTS)

    def embedded(self, prompts: list[str]) -> tuple[PromptEmbeddings, Tensor]:
        """Embeddings of the distinct prompts after the negative one's row 0; rows int64 [n].

        The rows are those of `prompts`, and on the host.
        """
        distinct = list(dict.fromkeys(prompts))
        self._embed([*distinct, self.negative] if self.has_negative else distinct)
        positives = [self.kept[prompt] for prompt in distinct]
        if self.has_negative:
            first = self.kept[self.negative]
        else:
            hidden, pooled = positives[0]
            first = (torch.zeros_like(hidden), torch.zeros_like(pooled))
        hidden, pooled = (torch.stack(parts) for parts in zip(first, *positives, strict=True))
        for prompt in list(self.kept)[:-MAX_PROMPTS]:
            del self.kept[prompt]
        row = {prompt: i for i, prompt in enumerate(distinct, start=1)}
        return PromptEmbeddings(hidden, pooled), torch.tensor([row[prompt] for prompt in prompts])

    def _embed(self, prompts: list[str]) -> None:
        """Embed those that are not known, and note that all were used last."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self.kept]

        def embed(batch: list[int]) -> PromptEmbeddings:
            return self.family.embed([new[i] for i in batch])

        for real, embeddings in self._text_encoder.run(len(new), embed):
            for row, i in enumerate(real):
                self.kept[new[i]] = (
                    embeddings.hidden[row].clone(),
                    embeddings.pooled[row].clone(),
                )
        if new:
            self.family.rest_text_encoders()
        self.counts["prompts"] += len(new)
        for prompt in prompts:
            self.kept[prompt] = self.kept.pop(prompt)
