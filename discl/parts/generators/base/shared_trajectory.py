"""Images of all levels go down one grid of timesteps together, each level from its own step on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.core.errors import UserError
from discl.core.interfaces import Generated, Photos, Request
from discl.core.levels import TEXT_ONLY, denoising_steps
from discl.core.progress import DENOISING, work
from discl.parts.generators.base.descent import Descent, Grid
from discl.parts.generators.base.families import PromptEmbeddings, StableDiffusion
from discl.parts.generators.base.fixed_batches import FixedBatches, taken
from discl.parts.generators.base.inpainting.kept_region import Keeping, KeptRegion
from discl.parts.generators.base.pixels import Code, PixelCoder
from discl.parts.generators.base.prompt_table import PromptTable
from discl.parts.generators.base.rehearsal import check


@dataclass(frozen=True)
class Sampling:
    """Settings by which images are made from the weights."""

    steps: int
    text_guidance: float
    guidance_rescale: float  # 0 .. 1
    negative_prompt: str
    scores: tuple[float, float]  # aesthetic: wanted, unwanted
    photo_in_level_0: bool
    chunk: int  # images the denoiser gets at a time


@dataclass
class LevelBatch:
    """The images of one level."""

    indices: list[int]  # of their requests
    descent: Descent
    latents: Tensor  # [n, c, h, w]
    generators: list[torch.Generator]
    kept: KeptRegion | None = None  # what stays of the photos; None = nothing is held


@dataclass(frozen=True)
class Beside:
    """What the denoiser gets beside latents and timesteps, on its device."""

    embeddings: PromptEmbeddings  # of the negative prompt and of the distinct prompts
    rows: Tensor  # int64 [n], each image's prompt, in the order of the levels
    numbers: Tensor | None  # [2, k] of unwanted and wanted images; None = it takes none


class SharedTrajectory:
    """Makes images by one loop over the grid; the denoiser gets every image that has begun.

    The photo is encoded once for all of its images, a prompt is embedded once, and the denoiser's
    batches are full where a loop over levels would leave a part of one at each level.

    Raises UserError where the scheduler has no grid of so many steps, or fails its rehearsal on it.
    """

    keeping: Keeping | None = None  # which part of a photo stays as it is; None = none

    def __init__(self, family: StableDiffusion, sampling: Sampling, counts: dict[str, int]) -> None:
        self.family = family
        self.sampling = sampling
        self.counts = counts
        self.grid = Grid(family.pipeline.scheduler, sampling.steps)
        check(self.grid)
        self._denoiser = FixedBatches(sampling.chunk)
        self._coder = PixelCoder(family, sampling.chunk, counts)
        self._guidance_embedding = family.guidance_embedding(sampling.text_guidance)
        self._guided = sampling.text_guidance > 1 and self._guidance_embedding is None
        if sampling.guidance_rescale and not self._guided:
            raise UserError(
                f"generator.guidance_rescale = {sampling.guidance_rescale:g}: this checkpoint takes"
                " its guidance as an input, so there is nothing to rescale; leave it at 0"
            )
        self.prompts = PromptTable(family, sampling.negative_prompt, self._guided, counts)

    @torch.inference_mode()
    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images for requests and photos [b, h, w, 3] of equal length.

        Sides are cut down to whole latent pixels. Raises UserError where that leaves none.
        """
        factor = self.family.pipeline.vae_scale_factor
        height, width = (side // factor for side in photos.shape[1:3])
        if 0 in (height, width):
            raise UserError(
                f"generator.size: this checkpoint needs photos of at least {factor}x{factor}"
                f" pixels, got {photos.shape[2]}x{photos.shape[1]}"
            )
        size = (height * factor, width * factor)
        channels = self.family.unet.config.in_channels
        batches = self.start(requests, photos, (1, channels, height, width))
        self._denoise(batches, [request.prompt for request in requests], size)
        latents = torch.cat([batch.latents for batch in batches])
        order = np.argsort([index for batch in batches for index in batch.indices])
        ordered = latents[uploaded(torch.from_numpy(order), latents.device)]
        return self._coder.decoded(ordered)

    # ---------------------------------------------------------------- where images start

    def start(
        self, requests: Sequence[Request], photos: Photos, shape: tuple[int, ...]
    ) -> list[LevelBatch]:
        """The first latents, by level, of photos [b, h, w, 3]; those of one image have `shape`."""
        with_photo = [
            i
            for i, request in enumerate(requests)
            if self.keeping is not None or self._has_photo(request.level)
        ]
        codes = self._coder.codes(photos, with_photo)
        repainted = None
        if self.keeping is not None:
            repainted = self.keeping(requests, (shape[-2], shape[-1]))
        batches = []
        for level in sorted({request.level for request in requests}):
            indices = [i for i, request in enumerate(requests) if request.level == level]
            seeds = [requests[i].seed for i in indices]
            part = None if repainted is None else repainted[indices]
            batches.append(self._level_batch(level, indices, seeds, codes, shape, part))
        return batches

    def _has_photo(self, level: int) -> bool:
        return level != TEXT_ONLY or self.sampling.photo_in_level_0

    def _level_batch(
        self,
        level: int,
        indices: list[int],
        seeds: list[int],
        codes: dict[int, Code],
        shape: tuple[int, ...],
        repainted: Tensor | None,
    ) -> LevelBatch:
        family = self.family
        steps = denoising_steps(level, self.sampling.steps)
        descent = Descent(self.grid, self.grid.begin(steps))
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        # the order of diffusers: first the code's sample, then the noise. Level 0 throws the first
        # away, so that it begins from the same noise as the levels above it
        samples = None
        if family.is_sampled:
            samples = uploaded(_normal(generators, shape, family.vae.dtype), family.device)
        noise = uploaded(_normal(generators, shape, family.dtype), family.device)
        clean = None
        if repainted is not None or self._has_photo(level):
            clean = family.scaled(_sampled([codes[index] for index in indices], samples))
        if clean is None or not self._has_photo(level):
            latents = noise * descent.noise_scale
        else:
            latents = descent.noised(clean, noise)
        kept = None
        if clean is not None and repainted is not None:
            if family.is_sampled:  # diffusers draws for the masked photo, too
                _normal(generators, shape, family.vae.dtype)
            kept = KeptRegion(uploaded(repainted.to(family.dtype), family.device), clean, noise)
        return LevelBatch(indices, descent, latents, generators, kept)

    # ---------------------------------------------------------------- down the grid

    def _denoise(
        self, batches: list[LevelBatch], prompts: list[str], size: tuple[int, int]
    ) -> None:
        """Down the grid, level by level in ascending order: later ones join earlier ones."""
        inputs_beside = self._beside(batches, prompts, size)
        most = max(len(batch.descent.timesteps) for batch in batches)
        timesteps = uploaded(_timesteps(batches, most), self.family.device)
        for call in range(most):
            active = [batch for batch in batches if len(batch.descent.timesteps) >= most - call]
            inputs = torch.cat([batch.descent.inputs(batch.latents) for batch in active])
            noise = self._noise(inputs, timesteps[call], inputs_beside)
            counts = [len(batch.indices) for batch in active]
            for batch, part in zip(active, noise.split(counts), strict=True):
                batch.latents = batch.descent.step(part, batch.latents, batch.generators)
                if batch.kept is not None:
                    batch.latents = batch.kept.put_back(batch.latents, batch.descent)

    def _beside(
        self, batches: list[LevelBatch], prompts: list[str], size: tuple[int, int]
    ) -> Beside:
        """What the denoiser gets beside latents of `size` (height, width), brought up once."""
        embeddings, rows = self.prompts.embedded(prompts)
        order = torch.tensor([index for batch in batches for index in batch.indices])
        wanted, unwanted = self.sampling.scores
        numbers = self.family.numbers(size, [unwanted, wanted])
        return Beside(embeddings, uploaded(rows[order], self.family.device), numbers)

    def _noise(self, inputs: Tensor, timesteps: Tensor, beside: Beside) -> Tensor:
        """The noise [n, c, h, w] in latents at the first n of `timesteps`."""
        dtype = self.family.dtype

        def predict(batch: list[int]) -> Tensor:
            latents = taken(inputs, batch).to(dtype)
            rows = taken(beside.rows, batch)
            return self._predicted(latents, taken(timesteps, batch), rows, beside)

        predicted = []
        for real, noise in self._denoiser.run(len(inputs), predict):
            predicted.append(noise[: len(real)])
            self.counts["denoiser_calls"] += 1
            work().done(DENOISING, len(real))
        self.counts["denoiser_images"] += len(inputs)
        return torch.cat(predicted)

    def _predicted(
        self, latents: Tensor, timesteps: Tensor, rows: Tensor, beside: Beside
    ) -> Tensor:
        """Classifier-free guidance (Ho and Salimans 2022), where there is guidance."""
        of_wanted = torch.ones_like(rows)
        if self._guided:  # row 0 is the negative prompt
            latents = torch.cat([latents] * 2)
            timesteps = torch.cat([timesteps] * 2)
            of_wanted = torch.cat([torch.zeros_like(rows), of_wanted])
            rows = torch.cat([torch.zeros_like(rows), rows])
        guidance = self._guidance_embedding
        numbers = None if beside.numbers is None else beside.numbers[of_wanted]
        noise: Tensor = self.family.unet(
            latents,
            timesteps,
            encoder_hidden_states=beside.embeddings.hidden[rows],
            timestep_cond=None if guidance is None else guidance.expand(len(rows), -1),
            added_cond_kwargs=self.family.added(beside.embeddings.pooled[rows], numbers),
            return_dict=False,
        )[0]
        if not self._guided:
            return noise
        negative, positive = noise.chunk(2)
        guided: Tensor = negative + self.sampling.text_guidance * (positive - negative)
        if not self.sampling.guidance_rescale:
            return guided
        # Lin et al. (2023, arXiv 2305.08891, section 3.4): guidance raises the deviation of a
        # prediction, which overexposes images
        rescaled: Tensor = rescale_noise_cfg(guided, positive, self.sampling.guidance_rescale)
        return rescaled


def _timesteps(batches: list[LevelBatch], most: int) -> Tensor:
    """[most, n], of each call of the denoiser and image; what an image does not visit is 0."""
    columns = []
    for batch in batches:
        visited = batch.descent.timesteps
        column = torch.cat([visited.new_zeros(most - len(visited)), visited])
        columns.append(column[:, None].expand(-1, len(batch.indices)))
    return torch.cat(columns, dim=1)


def _normal(
    generators: list[torch.Generator], shape: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    """Normal noise, of `shape` from each generator, one after the other."""
    return torch.cat(
        [torch.randn(shape, generator=generator, dtype=dtype) for generator in generators]
    )


def _sampled(codes: list[Code], samples: Tensor | None) -> Tensor:
    """Latents [n, c, h, w] from the distributions that the autoencoder answered with."""
    mean = torch.stack([mean for mean, _ in codes])
    if samples is None:
        return mean
    return mean + torch.stack([std for _, std in codes if std is not None]) * samples
