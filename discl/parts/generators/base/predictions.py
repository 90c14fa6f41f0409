"""What the denoiser predicts for images of all levels, a full batch at a time, with guidance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.core.interfaces import Photos, Request
from discl.core.progress import DENOISING, work
from discl.parts.generators.base.adapters.conditioning import PhotoConditions, conditions_of
from discl.parts.generators.base.families import Family, PromptEmbeddings
from discl.parts.generators.base.families.guidance import Guidance
from discl.parts.generators.base.families.sampling import Sampling
from discl.parts.generators.base.fixed_batches import FixedBatches, taken
from discl.parts.generators.base.prompt_table import PromptTable


@dataclass(frozen=True)
class Beside:
    """What the denoiser gets beside latents and timesteps, on its device."""

    embeddings: PromptEmbeddings  # of the distinct prompts and their negative ones
    rows: Tensor  # int64 [2, n], each image's negative prompt and prompt, in the order of levels
    rows_on_host: Tensor  # the same
    numbers: Tensor | None  # [2, k] of unwanted and wanted images; None = it takes none
    guidance: Tensor | None  # int64 [n], each image's weight; None = all have one
    photos: PhotoConditions | None  # what is told of them beside the latents; None = nothing
    # where prompts have more than one length: tokens that they are filled up to, images [m]
    by_length: list[tuple[int, Tensor]]


class Predictions:
    """Asks a family's denoiser, which takes batches of exactly one size.

    Raises UserError for settings that have no effect on the checkpoint.
    """

    def __init__(self, family: Family, sampling: Sampling, counts: dict[str, int]) -> None:
        family.check(sampling)
        self.family = family
        self.sampling = sampling
        self.counts = counts
        self._batches = FixedBatches(sampling.chunk)
        self._guidance = Guidance(family, sampling)
        self._guided = self._guidance.is_guided
        self.prompts = PromptTable(family, sampling.negative_of, self._guided, counts)

    def beside(
        self,
        requests: Sequence[Request],
        order: list[int],
        size: tuple[int, int],
        photos: Photos,
    ) -> Beside:
        """What the denoiser gets for images in an `order` of `requests`, brought up once.

        `size` is their (height, width) in pixels, `photos` are [b, h, w, 3].
        """
        device = self.family.device
        embeddings, rows, negative_rows = self.prompts.embedded([each.prompt for each in requests])
        both = torch.stack([negative_rows, rows])[:, torch.tensor(order)]
        wanted, unwanted = self.sampling.scores
        numbers = self.family.numbers(size, [unwanted, wanted])
        ways = self.family.told_of_photos
        return Beside(
            embeddings,
            uploaded(both, device),
            both,
            numbers,
            self._guidance.rows([requests[index].level for index in order]),
            conditions_of(ways, photos, order, size, device) if ways else None,
            self._by_length(embeddings, both),
        )

    def _by_length(self, embeddings: PromptEmbeddings, rows: Tensor) -> list[tuple[int, Tensor]]:
        """Images whose prompts are filled up to one length, which a batch holds alone.

        So what a prompt is filled up to does not depend on the company that its image has.
        """
        step = self.family.token_step
        if embeddings.lengths is None or step is None:
            return []
        filled = -(-embeddings.lengths // step) * step
        negative, positive = filled[rows]
        of_images = torch.maximum(negative, positive) if self._guided else positive
        return [
            (length, (of_images == length).nonzero().flatten())
            for length in sorted(set(of_images.tolist()))
        ]

    def of(self, inputs: Tensor, timesteps: Tensor, beside: Beside) -> Tensor:
        """The prediction [n, c, h, w] for inputs [n, c, h, w] at the first n of `timesteps`."""
        if not beside.by_length:
            everything = torch.arange(len(inputs))
            all_places = torch.arange(len(inputs), device=inputs.device)
            return self._run(inputs, timesteps, all_places, beside, everything, None)
        parts, places = [], []
        for length, members in beside.by_length:
            begun = members[members < len(inputs)]
            if len(begun):
                chosen = uploaded(begun, self.family.device)
                some = (inputs[chosen], timesteps[chosen], chosen)
                parts.append(self._run(*some, beside, begun, length))
                places.append(begun)
        order = uploaded(torch.cat(places).argsort(), self.family.device)
        return torch.cat(parts)[order]

    def _run(
        self,
        inputs: Tensor,
        timesteps: Tensor,
        places: Tensor,
        beside: Beside,
        members: Tensor,
        length: int | None,
    ) -> Tensor:
        """Of images of one length, in batches; `members` [n] are their `places` on the host."""
        dtype = self.family.dtype

        def predict(batch: list[int]) -> Tensor:
            latents = taken(inputs, batch).to(dtype)
            chosen = taken(places, batch)
            prompts = self._prompts(chosen, members[batch], beside, length)
            return self._predicted(latents, taken(timesteps, batch), prompts, chosen, beside)

        return self._batched(len(inputs), predict)

    def _batched(self, count: int, predict: Callable[[list[int]], Tensor]) -> Tensor:
        predicted = []
        for real, noise in self._batches.run(count, predict):
            predicted.append(noise[: len(real)])
            self.counts["denoiser_calls"] += 1
            work().done(DENOISING, len(real))
        self.counts["denoiser_images"] += count
        return torch.cat(predicted)

    def _prompts(
        self, places: Tensor, members: Tensor, beside: Beside, length: int | None
    ) -> PromptEmbeddings:
        """Of a batch; those of negative prompts before them where they are used."""
        hidden, pooled, lengths = beside.embeddings
        first = 0 if self._guided else 1
        rows = beside.rows[first:, places].flatten()
        if lengths is not None:
            lengths = lengths[beside.rows_on_host[first:, members].flatten()]
        return PromptEmbeddings(hidden[:, :length][rows], pooled[rows], lengths)

    def _predicted(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        places: Tensor,
        beside: Beside,
    ) -> Tensor:
        """With guidance, where there is guidance; `places` [b] are those of the images."""
        height, width = latents.shape[2:]
        of_wanted = torch.ones(len(latents), dtype=torch.int64, device=latents.device)
        if self._guided:
            latents = torch.cat([latents] * 2)
            timesteps = torch.cat([timesteps] * 2)
            of_wanted = torch.cat([torch.zeros_like(of_wanted), of_wanted])
        numbers = None if beside.numbers is None else beside.numbers[of_wanted]
        weights = None if beside.guidance is None else beside.guidance[places]
        guidance = self._guidance.inputs(weights, len(latents))
        told = {} if beside.photos is None else {"photos": beside.photos.of(places)}
        predicted = self.family.predict(latents, timesteps, prompts, numbers, guidance, **told)
        if self._guided:
            negative, positive = predicted.chunk(2)
            predicted = self._with_guidance(negative, positive, weights)
        return self.family.as_latents(predicted, height, width)

    def _with_guidance(self, negative: Tensor, positive: Tensor, weights: Tensor | None) -> Tensor:
        guided = self._guidance.guided(negative, positive, weights)
        if not self.sampling.guidance_rescale:
            return guided
        # Lin et al. (2023, arXiv 2305.08891, section 3.4): guidance raises the deviation of a
        # prediction, which overexposes images
        rescaled: Tensor = rescale_noise_cfg(guided, positive, self.sampling.guidance_rescale)
        return rescaled
