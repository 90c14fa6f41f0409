"""The weight of guidance of each image, where levels may have their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.parts.generators.base.families.base import Family
from discl.parts.generators.base.families.sampling import Sampling


class Guidance:
    """Weights of classifier-free guidance, or the denoiser's input where it takes them as one."""

    def __init__(self, family: Family, sampling: Sampling) -> None:
        self._family = family
        self._at = sampling.text_guidance_at
        self._weights = list(dict.fromkeys([sampling.text_guidance, *self._at.values()]))
        self._usual = sampling.text_guidance
        self.is_guided = family.is_guided(max(self._weights))
        inputs = [family.guidance_embedding(weight) for weight in self._weights]
        known = [each for each in inputs if each is not None]
        self._inputs = torch.cat(known) if known else None
        # an image without guidance goes through both passes where others have some: with a weight
        # of 1 the prediction for its prompt is all that is left
        columns = torch.tensor([max(weight, 1.0) for weight in self._weights])
        self._column = uploaded(columns, family.device)

    def rows(self, levels: Sequence[int]) -> Tensor | None:
        """int64 [n], which weight images of `levels` [n] have; None where all have one."""
        if not self._at:
            return None
        rows = [self._weights.index(self._at.get(level, self._usual)) for level in levels]
        return uploaded(torch.tensor(rows), self._family.device)

    def inputs(self, rows: Tensor | None, count: int) -> Tensor | None:
        """[count, ...], what the denoiser is told of the weights; None where it is not."""
        if self._inputs is None:
            return None
        if rows is None:
            return self._inputs.expand(count, *self._inputs.shape[1:])
        return self._inputs[rows.repeat(count // len(rows))]

    def guided(self, negative: Tensor, positive: Tensor, rows: Tensor | None) -> Tensor:
        """Guided predictions [b, ...] from those for negative prompts and for prompts."""
        if rows is None:
            return self._family.guided(negative, positive, self._usual)
        weights = self._column[rows].view(-1, *[1] * (positive.ndim - 1))
        return self._family.guided(negative, positive, weights).to(positive.dtype)
