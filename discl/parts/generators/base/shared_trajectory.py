"""Images of all levels go down one grid of timesteps together, each level from its own step on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.core.errors import UserError
from discl.core.interfaces import Generated, Photos, Request
from discl.core.levels import TEXT_ONLY, denoising_steps
from discl.parts.generators.base.descent import Descent, Grid
from discl.parts.generators.base.families import Family
from discl.parts.generators.base.families.sampling import Sampling
from discl.parts.generators.base.inpainting.kept_region import Keeping, KeptRegion
from discl.parts.generators.base.levels.signal import counted_on
from discl.parts.generators.base.pixels import Code, PixelCoder
from discl.parts.generators.base.predictions import Predictions
from discl.parts.generators.base.prompt_table import PromptTable
from discl.parts.generators.base.rehearsal import check

_KEPT_GRIDS = 64  # of image sizes


@dataclass
class LevelBatch:
    """The images of one level."""

    indices: list[int]  # of their requests
    descent: Descent
    latents: Tensor  # [n, c, h, w]
    generators: list[torch.Generator]
    kept: KeptRegion | None = None  # what stays of the photos; None = nothing is held


class SharedTrajectory:
    """Makes images by one loop over the grid; the denoiser gets every image that has begun.

    The photo is encoded once for all of its images, a prompt is embedded once, and the denoiser's
    batches are full where a loop over levels would leave a part of one at each level.

    Raises UserError where the scheduler has no grid of so many steps, or fails its rehearsal on it.
    """

    keeping: Keeping | None = None  # which part of a photo stays as it is; None = none

    def __init__(self, family: Family, sampling: Sampling, counts: dict[str, int]) -> None:
        self.family = family
        self.sampling = sampling
        self.counts = counts
        self._grids: dict[float | None, Grid] = {}
        self.grid = self.grid_of(family.usual_tokens)
        self.predictions = Predictions(family, sampling, counts)
        self._coder = PixelCoder(family, sampling.chunk, counts)

    @property
    def prompts(self) -> PromptTable:
        """The prompts that are embedded."""
        return self.predictions.prompts

    def grid_of(self, tokens: int) -> Grid:
        """The grid of images of so many tokens, where it follows their size.

        Raises UserError where the scheduler has none, or fails its rehearsal on it.
        """
        scheduler = self.family.pipeline.scheduler
        options = self.family.grid_options(scheduler.config, self.sampling.steps, tokens)
        shift = options.get("mu")
        if shift not in self._grids:
            grid = Grid(scheduler, self.sampling.steps, options)
            check(grid)
            self._grids = dict([*self._grids.items()][-_KEPT_GRIDS:]) | {shift: grid}
        return self._grids[shift]

    @torch.inference_mode()
    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images for requests and photos [b, h, w, 3] of equal length.

        Sides are cut down to what the denoiser takes. Raises UserError where that leaves none.
        """
        unit = self.family.side
        down, across = (side // unit for side in photos.shape[1:3])
        if 0 in (down, across):
            raise UserError(
                f"generator.size: this checkpoint needs photos of at least {unit}x{unit}"
                f" pixels, got {photos.shape[2]}x{photos.shape[1]}"
            )
        size = (down * unit, across * unit)
        self.grid = self.grid_of(down * across)
        batches = self.start(requests, photos, self.family.latent_shape(*size))
        self._denoise(batches, requests, size, photos)
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
        by_signal = self.sampling.levels_by_signal
        steps = denoising_steps(level, counted_on(self.grid) if by_signal else self.grid.steps)
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
        self,
        batches: list[LevelBatch],
        requests: Sequence[Request],
        size: tuple[int, int],
        photos: Photos,
    ) -> None:
        """Down the grid, level by level in ascending order: later ones join earlier ones."""
        order = [index for batch in batches for index in batch.indices]
        beside = self.predictions.beside(requests, order, size, photos)
        most = max(len(batch.descent.timesteps) for batch in batches)
        timesteps = uploaded(_timesteps(batches, most), self.family.device)
        for call in range(most):
            active = [batch for batch in batches if len(batch.descent.timesteps) >= most - call]
            inputs = torch.cat([batch.descent.inputs(batch.latents) for batch in active])
            predicted = self.predictions.of(inputs, timesteps[call], beside)
            counts = [len(batch.indices) for batch in active]
            for batch, part in zip(active, predicted.split(counts), strict=True):
                batch.latents = batch.descent.step(part, batch.latents, batch.generators)
                if batch.kept is not None:
                    batch.latents = batch.kept.put_back(batch.latents, batch.descent)


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
