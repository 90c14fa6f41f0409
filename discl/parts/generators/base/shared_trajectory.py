"""Images of all levels go down one grid of timesteps together, each level from its own step on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from torch import Tensor

from discl.core.errors import UserError
from discl.core.interfaces import Generated, Photos, Request
from discl.core.levels import TEXT_ONLY, denoising_steps
from discl.core.progress import DENOISING, work
from discl.parts.generators.base.descent import Descent, Grid
from discl.parts.generators.base.families import PromptEmbeddings, StableDiffusion
from discl.parts.generators.base.fixed_batches import FixedBatches
from discl.parts.generators.base.rehearsal import check

NOT_FINITE = "the checkpoint computed values that are not finite"
FLAGGED = "the checkpoint's safety checker withheld the image"

# the autoencoder works at full resolution and needs far more memory an image than the denoiser
_MAX_CODED = 4
_TEXTS = 8  # embedded at a time
MAX_PROMPTS = 512  # embeddings kept; SDXL's take 0.6 MB each in float32

Code = tuple[Tensor, Tensor | None]  # mean and deviation [c, h, w] of a photo's latents


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


class SharedTrajectory:
    """Makes images by one loop over the grid; the denoiser gets every image that has begun.

    The photo is encoded once for all of its images, a prompt is embedded once, and the denoiser's
    batches are full where a loop over levels would leave a part of one at each level.

    Raises UserError where the scheduler has no grid of so many steps, or fails its rehearsal on it.
    """

    def __init__(self, family: StableDiffusion, sampling: Sampling, counts: dict[str, int]) -> None:
        self.family = family
        self.sampling = sampling
        self.counts = counts
        self.prompts: dict[str, tuple[Tensor, Tensor]] = {}  # embeddings, last used last
        scheduler = family.pipeline.scheduler
        check(Grid(scheduler, sampling.steps, torch.device("cpu")))
        self.grid = Grid(scheduler, sampling.steps, family.device)
        self._denoiser = FixedBatches(sampling.chunk)
        self._coder = FixedBatches(min(sampling.chunk, _MAX_CODED))
        self._text_encoder = FixedBatches(_TEXTS)
        self._guidance_embedding = family.guidance_embedding(sampling.text_guidance)
        self._guided = sampling.text_guidance > 1 and self._guidance_embedding is None
        if sampling.guidance_rescale and not self._guided:
            raise UserError(
                f"generator.guidance_rescale = {sampling.guidance_rescale:g}: this checkpoint takes"
                " its guidance as an input, so there is nothing to rescale; leave it at 0"
            )

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
        return self._decoded(latents[torch.from_numpy(order).to(latents.device)], size)

    # ---------------------------------------------------------------- where images start

    def start(
        self, requests: Sequence[Request], photos: Photos, shape: tuple[int, ...]
    ) -> list[LevelBatch]:
        """The first latents, by level, of photos [b, h, w, 3]; those of one image have `shape`."""
        with_photo = [i for i, request in enumerate(requests) if self._has_photo(request.level)]
        codes = self._codes(photos, with_photo)
        batches = []
        for level in sorted({request.level for request in requests}):
            indices = [i for i, request in enumerate(requests) if request.level == level]
            seeds = [requests[i].seed for i in indices]
            batches.append(self._level_batch(level, indices, seeds, codes, shape))
        return batches

    def _has_photo(self, level: int) -> bool:
        return level != TEXT_ONLY or self.sampling.photo_in_level_0

    def _codes(self, photos: Photos, indices: list[int]) -> dict[int, Code]:
        """The code of each index's photo; equal photos are encoded once."""
        keys = {index: hashlib.sha256(photos[index].tobytes()).digest() for index in indices}
        distinct = {key: photos[index] for index, key in keys.items()}
        pictures = list(distinct.values())

        def encode(batch: list[int]) -> Any:
            return self.family.encode([pictures[i] for i in batch])

        codes: list[Code] = []
        for real, (mean, std) in self._coder.run(len(pictures), encode):
            codes += [(mean[i], None if std is None else std[i]) for i in range(len(real))]
        self.counts["encodes"] += len(pictures)
        by_key = dict(zip(distinct, codes, strict=True))
        return {index: by_key[key] for index, key in keys.items()}

    def _level_batch(
        self,
        level: int,
        indices: list[int],
        seeds: list[int],
        codes: dict[int, Code],
        shape: tuple[int, ...],
    ) -> LevelBatch:
        family = self.family
        steps = denoising_steps(level, self.sampling.steps)
        descent = Descent(self.grid, self.grid.begin(steps))
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        # the order of diffusers: first the code's sample, then the noise. Level 0 throws the first
        # away, so that it begins from the same noise as the levels above it
        samples = None
        if family.is_sampled:
            samples = _normal(generators, shape, family.vae.dtype).to(family.device)
        noise = _normal(generators, shape, family.dtype).to(family.device)
        if not self._has_photo(level):
            latents = noise * descent.noise_scale
        else:
            clean = family.scaled(_sampled([codes[index] for index in indices], samples))
            latents = descent.noised(clean, noise)
        return LevelBatch(indices, descent, latents, generators)

    # ---------------------------------------------------------------- down the grid

    def _denoise(
        self, batches: list[LevelBatch], prompts: list[str], size: tuple[int, int]
    ) -> None:
        embeddings, rows = self._embedded(prompts)
        for left in range(max(len(batch.descent.timesteps) for batch in batches), 0, -1):
            active = [batch for batch in batches if len(batch.descent.timesteps) >= left]
            inputs = torch.cat([batch.descent.inputs(batch.latents) for batch in active])
            counts = [len(batch.indices) for batch in active]
            timesteps = torch.cat(
                [batch.descent.timestep.repeat(n) for batch, n in zip(active, counts, strict=True)]
            )
            active_rows = [rows[index] for batch in active for index in batch.indices]
            noise = self._noise(inputs, timesteps, embeddings, active_rows, size)
            for batch, part in zip(active, noise.split(counts), strict=True):
                batch.latents = batch.descent.step(part, batch.latents, batch.generators)

    def _noise(
        self,
        inputs: Tensor,
        timesteps: Tensor,
        embeddings: PromptEmbeddings,
        rows: list[int],
        size: tuple[int, int],
    ) -> Tensor:
        """The noise [n, c, h, w] in latents at `timesteps` [n].

        Each is predicted with the prompt in its row of embeddings.
        """

        def predict(batch: list[int]) -> Tensor:
            latents = inputs[batch].to(self.family.dtype)
            prompts = [rows[i] for i in batch]
            return self._predicted(latents, timesteps[batch], embeddings, prompts, size)

        predicted = []
        for real, noise in self._denoiser.run(len(inputs), predict):
            predicted.append(noise[: len(real)])
            self.counts["denoiser_calls"] += 1
            work().done(DENOISING, len(real))
        self.counts["denoiser_images"] += len(inputs)
        return torch.cat(predicted)

    def _predicted(
        self,
        latents: Tensor,
        timesteps: Tensor,
        embeddings: PromptEmbeddings,
        rows: list[int],
        size: tuple[int, int],
    ) -> Tensor:
        """Classifier-free guidance (Ho and Salimans 2022), where there is guidance."""
        wanted, unwanted = self.sampling.scores
        scores = [wanted] * len(rows)
        if self._guided:  # row 0 is the negative prompt
            latents = torch.cat([latents] * 2)
            timesteps = torch.cat([timesteps] * 2)
            scores = [unwanted] * len(rows) + scores
            rows = [0] * len(rows) + rows
        guidance = self._guidance_embedding
        noise: Tensor = self.family.unet(
            latents,
            timesteps,
            encoder_hidden_states=embeddings.hidden[rows],
            timestep_cond=None if guidance is None else guidance.expand(len(rows), -1),
            added_cond_kwargs=self.family.added(embeddings.pooled[rows], size, scores),
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

    # ---------------------------------------------------------------- prompts

    def _embedded(self, prompts: list[str]) -> tuple[PromptEmbeddings, list[int]]:
        """Embeddings of the distinct prompts, the negative one first, and each prompt's row."""
        distinct = list(dict.fromkeys(prompts))
        negative = self.sampling.negative_prompt
        has_negative = self._guided and bool(negative or not self.family.empty_is_zero)
        self._embed([*distinct, negative] if has_negative else distinct)
        positives = [self.prompts[prompt] for prompt in distinct]
        if has_negative:
            first = self.prompts[negative]
        else:
            hidden, pooled = positives[0]
            first = (torch.zeros_like(hidden), torch.zeros_like(pooled))
        hidden, pooled = (torch.stack(parts) for parts in zip(first, *positives, strict=True))
        for prompt in list(self.prompts)[:-MAX_PROMPTS]:
            del self.prompts[prompt]
        row = {prompt: i for i, prompt in enumerate(distinct, start=1)}
        return PromptEmbeddings(hidden, pooled), [row[prompt] for prompt in prompts]

    def _embed(self, prompts: list[str]) -> None:
        """Embed those that are not known, and note that all were used last."""
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self.prompts]

        def embed(batch: list[int]) -> PromptEmbeddings:
            return self.family.embed([new[i] for i in batch])

        for real, embeddings in self._text_encoder.run(len(new), embed):
            for row, i in enumerate(real):
                self.prompts[new[i]] = (
                    embeddings.hidden[row].clone(),
                    embeddings.pooled[row].clone(),
                )
        self.counts["prompts"] += len(new)
        for prompt in prompts:
            self.prompts[prompt] = self.prompts.pop(prompt)

    # ---------------------------------------------------------------- pixels

    def _decoded(self, latents: Tensor, size: tuple[int, int]) -> Generated:
        images = np.zeros((len(latents), *size, 3), np.uint8)
        failed: dict[int, str] = {}
        for real, (pixels, reasons) in self._coder.run(
            len(latents), lambda batch: self._pixels(latents[batch])
        ):
            images[real.start : real.stop] = pixels[: len(real)]
            failed |= {i: reason for i, reason in zip(real, reasons, strict=False) if reason}
        self.counts["decodes"] += len(latents)
        return Generated(images, failed)

    def _pixels(self, latents: Tensor) -> tuple[Photos, list[str]]:
        """(uint8 [b, h, w, 3], why each image failed, "" where it did not)."""
        decoded = self.family.decode(latents)
        finite = _are_finite(decoded) & _are_finite(latents)
        decoded = decoded.nan_to_num()
        reasons = [
            (FLAGGED if flagged else "") if is_finite else NOT_FINITE
            for flagged, is_finite in zip(
                self.family.flagged(decoded), finite.tolist(), strict=True
            )
        ]
        floats = self.family.pipeline.image_processor.postprocess(decoded, output_type="np")
        pixels = (floats * 255).round().clip(0, 255).astype(np.uint8)
        pixels[[reason != "" for reason in reasons]] = 0
        return pixels, reasons


def _are_finite(batch: Tensor) -> Tensor:
    """[b], whether all values of each item are finite."""
    return batch.isfinite().flatten(1).all(1)


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
