"""Prompts as the denoiser reads them: each is embedded once and kept while it is used."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from discl.parts.generators.base.families import Family, PromptEmbeddings
from discl.parts.generators.base.fixed_batches import FixedBatches

MAX_PROMPTS = 512  # embeddings kept; SDXL's take 0.6 MB each in float32


class PromptTable:
    """Embeddings of the prompts that were used last."""

    def __init__(
        self,
        family: Family,
        negative_of: Callable[[str], str],
        guided: bool,
        counts: dict[str, int],
    ) -> None:
        """`guided`: whether the prompts' negative ones are needed as well."""
        self.family = family
        self.negative_of = negative_of
        self.guided = guided
        self.counts = counts
        self.kept: dict[str, tuple[Tensor, Tensor]] = {}  # last used last
        self._text_encoder = FixedBatches(family.texts_at_once)

    def embedded(self, prompts: list[str]) -> tuple[PromptEmbeddings, Tensor, Tensor]:
        """Embeddings of the distinct prompts and negative ones; rows int64 [n] of each prompt.

        The rows are those of `prompts` and of their negative ones, and on the host.
        """
        distinct = list(dict.fromkeys(prompts))
        negatives = list(dict.fromkeys(self._negative(prompt) for prompt in distinct))
        self._embed([*distinct, *(text for text in negatives if text is not None)])
        positives = [self.kept[prompt] for prompt in distinct]
        nothing = tuple(map(torch.zeros_like, positives[0]))
        firsts = [nothing if text is None else self.kept[text] for text in negatives]
        embeddings = self._stacked([*firsts, *positives])  # type: ignore[list-item]
        for prompt in list(self.kept)[:-MAX_PROMPTS]:
            del self.kept[prompt]
        row = {prompt: i for i, prompt in enumerate(distinct, start=len(firsts))}
        of_negative = {text: i for i, text in enumerate(negatives)}
        return (
            embeddings,
            torch.tensor([row[prompt] for prompt in prompts]),
            torch.tensor([of_negative[self._negative(prompt)] for prompt in prompts]),
        )

    def _negative(self, prompt: str) -> str | None:
        """The negative prompt to embed for a prompt; None = zeros stand for it, or it is unused."""
        negative = self.negative_of(prompt) if self.guided else ""
        return negative if self.guided and (negative or not self.family.empty_is_zero) else None

    def _stacked(self, rows: list[tuple[Tensor, Tensor]]) -> PromptEmbeddings:
        """Of [tokens, d] and [d] of each; prompts of unlike length are filled up with zeros."""
        step = self.family.token_step
        pooled = torch.stack([pooled for _, pooled in rows])
        if step is None:
            return PromptEmbeddings(torch.stack([hidden for hidden, _ in rows]), pooled)
        lengths = [len(hidden) for hidden, _ in rows]
        longest = -(-max(lengths) // step) * step
        filled = [pad(hidden, (0, 0, 0, longest - len(hidden))) for hidden, _ in rows]
        return PromptEmbeddings(torch.stack(filled), pooled, torch.tensor(lengths))

    def _embed(self, prompts: list[str]) -> None:
        """Embed those that are not known, and note that all were used last."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self.kept]

        def embed(batch: list[int]) -> PromptEmbeddings:
            return self.family.embed([new[i] for i in batch])

        for real, embeddings in self._text_encoder.run(len(new), embed):
            for row, i in enumerate(real):
                lengths = embeddings.lengths
                length = None if lengths is None else int(lengths[row])
                self.kept[new[i]] = (
                    embeddings.hidden[row, :length].clone(),
                    embeddings.pooled[row].clone(),
                )
        if new:
            self.family.rest_text_encoders()
        self.counts["prompts"] += len(new)
        for prompt in prompts:
            self.kept[prompt] = self.kept.pop(prompt)
