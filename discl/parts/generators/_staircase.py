"""Staircase generation: images of all levels walk down one grid of timesteps together, each level
joining at its own step.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.core.interfaces import Generated, Photos, Request
from discl.core.levels import TEXT_ONLY, denoising_steps
from discl.parts.generators._families import Classic, Words
from discl.parts.generators._groups import Groups

NOT_FINITE = "the checkpoint computed values that are not finite"
WITHHELD = "the checkpoint's safety checker withheld the image"

# the autoencoder works at full resolution and needs far more memory an image than the denoiser
_CODER_GROUP = 4
_READER_GROUP = 8
_PROMPTS_KEPT = 512  # SDXL's embeddings take 0.6 MB each in float32

Code = tuple[Tensor, Tensor | None]  # mean and deviation [c, h, w] of a photo's latents


@dataclass(frozen=True)
class Recipe:
    """How images are made from the weights."""

    steps: int
    text_guidance: float
    negative_prompt: str
    scores: tuple[float, float]  # aesthetic: wanted, unwanted
    photo_in_level_0: bool
    chunk: int


@dataclass
class Stair:
    """The images of one level."""

    places: list[int]  # among the requests
    begin: int  # where on the grid they join
    scheduler: Any  # of their own: multistep solvers remember
    latents: Tensor  # [n, c, h, w]
    dice: list[torch.Generator]


class Staircase:
    """Makes images by one loop over the grid; at each step the denoiser gets every image that has
    begun.

    So the photo is encoded once for all of its images, a prompt is embedded once, and the
    denoiser's groups are full where a loop over levels would leave a part of one at each level.
    """

    def __init__(self, family: Classic, recipe: Recipe, counts: dict[str, int]) -> None:
        self.family, self.recipe, self.counts = family, recipe, counts
        self._denoiser, self._coder, self._reader = (
            Groups(recipe.chunk),
            Groups(min(recipe.chunk, _CODER_GROUP)),
            Groups(_READER_GROUP),
        )
        self._prompts: dict[str, tuple[Tensor, Tensor]] = {}
        self._grid = copy.deepcopy(family.pipeline.scheduler)
        try:
            self._grid.set_timesteps(recipe.steps, device=family.device)
        except ValueError as error:
            raise UserError(
                f"generator.steps = {recipe.steps}: {type(self._grid).__name__} has no such grid"
                f" ({error})"
            ) from error
        accepted = inspect.signature(self._grid.step).parameters
        self._rolls = "generator" in accepted
        self._settings = (
            {"eta": 0.0} if "eta" in accepted else {}
        )  # as diffusers' pipelines have it
        self._guidance = family.guidance(recipe.text_guidance)
        self._guided = recipe.text_guidance > 1 and self._guidance is None

    @torch.inference_mode()
    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images for requests and photos [b, h, w, 3] of equal length, sides cut down to whole
        latent pixels.
        """
        factor = self.family.pipeline.vae_scale_factor
        size = (photos.shape[1] // factor * factor, photos.shape[2] // factor * factor)
        if 0 in size:
            got = f"{photos.shape[2]}x{photos.shape[1]}"
            raise UserError(
                f"generator.size: this checkpoint needs photos of at least {factor}x{factor}"
                f" pixels, got {got}"
            )
        stairs = self._stairs(
            requests,
            photos,
            (1, self.family.unet.config.in_channels, size[0] // factor, size[1] // factor),
        )
        self._descend(stairs, [request.prompt for request in requests], size)
        latents = torch.cat([stair.latents for stair in stairs])
        order = np.argsort([place for stair in stairs for place in stair.places])
        return self._developed(latents[torch.from_numpy(order).to(latents.device)], size)

    # ---------------------------------------------------------------- where images start

    def _stairs(
        self, requests: Sequence[Request], photos: Photos, shape: tuple[int, ...]
    ) -> list[Stair]:
        codes = self._codes(
            photos, [i for i, request in enumerate(requests) if self._has_photo(request.level)]
        )
        levels = sorted({request.level for request in requests})
        places = {
            level: [i for i, request in enumerate(requests) if request.level == level]
            for level in levels
        }
        return [
            self._stair(
                level, places[level], [requests[i].seed for i in places[level]], codes, shape
            )
            for level in levels
        ]

    def _has_photo(self, level: int) -> bool:
        return level != TEXT_ONLY or self.recipe.photo_in_level_0

    def _codes(self, photos: Photos, places: list[int]) -> dict[int, Code]:
        """The code of each place's photo; equal photos are encoded once."""
        keys = {place: hashlib.sha256(photos[place].tobytes()).digest() for place in places}
        distinct = {key: photos[place] for place, key in keys.items()}
        pictures = list(distinct.values())
        codes = list[Code]()
        for real, (mean, std) in self._coder.over(
            len(pictures), lambda mine: self.family.encode([pictures[i] for i in mine])
        ):
            codes += [(mean[i], None if std is None else std[i]) for i in range(len(real))]
        self.counts["encodes"] += len(pictures)
        found = dict(zip(distinct, codes, strict=True))
        return {place: found[key] for place, key in keys.items()}

    def _stair(
        self,
        level: int,
        places: list[int],
        seeds: list[int],
        codes: dict[int, Code],
        shape: tuple[int, ...],
    ) -> Stair:
        scheduler = copy.deepcopy(self._grid)
        family = self.family
        begin = (self.recipe.steps - denoising_steps(level, self.recipe.steps)) * scheduler.order
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(begin)
        dice = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        # the order of diffusers: first the code's sample, then the noise. Level 0 throws the first
        # away, so that it begins from the same noise as the levels above it
        samples = (
            _rolled(dice, shape, family.vae.dtype).to(family.device) if family.samples else None
        )
        noise = _rolled(dice, shape, family.dtype).to(family.device)
        if not self._has_photo(level):
            return Stair(places, begin, scheduler, noise * scheduler.init_noise_sigma, dice)
        clean = family.scaled(_drawn([codes[place] for place in places], samples))
        start = scheduler.timesteps[begin : begin + 1].repeat(len(places))
        return Stair(places, begin, scheduler, scheduler.add_noise(clean, noise, start), dice)

    # ---------------------------------------------------------------- the way down

    def _descend(self, stairs: list[Stair], prompts: list[str], size: tuple[int, int]) -> None:
        table, rows = self._read(prompts)
        for i, timestep in enumerate(self._grid.timesteps):
            active = [stair for stair in stairs if stair.begin <= i]
            if not active:
                continue
            inputs = torch.cat(
                [stair.scheduler.scale_model_input(stair.latents, timestep) for stair in active]
            )
            noise = self._denoised(
                inputs,
                timestep,
                table,
                [rows[place] for stair in active for place in stair.places],
                size,
            )
            for stair, part in zip(
                active, noise.split([len(stair.places) for stair in active]), strict=True
            ):
                dice = {"generator": stair.dice} if self._rolls else {}
                stair.latents = stair.scheduler.step(
                    part, timestep, stair.latents, **self._settings, **dice, return_dict=False
                )[0]

    def _denoised(
        self, inputs: Tensor, timestep: Tensor, table: Words, rows: list[int], size: tuple[int, int]
    ) -> Tensor:
        """The noise [n, c, h, w] in latents, for each with the prompt in its row of the table."""

        def group(mine: list[int]) -> Tensor:
            words = [rows[i] for i in mine]
            return self._predicted(inputs[mine].to(self.family.dtype), timestep, table, words, size)

        made = []
        for real, noise in self._denoiser.over(len(inputs), group):
            made.append(noise[: len(real)])
            self.counts["denoiser_calls"] += 1
        self.counts["denoiser_images"] += len(inputs)
        return torch.cat(made)

    def _predicted(
        self,
        latents: Tensor,
        timestep: Tensor,
        table: Words,
        rows: list[int],
        size: tuple[int, int],
    ) -> Tensor:
        wanted, unwanted = self.recipe.scores
        scores = [wanted] * len(rows)
        if self._guided:  # row 0 is the negative prompt
            latents, rows, scores = (
                torch.cat([latents] * 2),
                [0] * len(rows) + rows,
                [unwanted] * len(rows) + scores,
            )
        noise: Tensor = self.family.unet(
            latents,
            timestep,
            encoder_hidden_states=table.hidden[rows],
            timestep_cond=None if self._guidance is None else self._guidance.expand(len(rows), -1),
            added_cond_kwargs=self.family.added(table.pooled[rows], size, scores),
            return_dict=False,
        )[0]
        if not self._guided:
            return noise
        without, towards = noise.chunk(2)
        return without + self.recipe.text_guidance * (towards - without)

    # ---------------------------------------------------------------- text

    def _read(self, prompts: list[str]) -> tuple[Words, list[int]]:
        """The distinct prompts embedded, the negative one first, and the row of each prompt among
        them.
        """
        distinct = list(dict.fromkeys(prompts))
        negative = self.recipe.negative_prompt
        needed = self._guided and bool(negative or not self.family.empty_is_zero)
        self._learn([*distinct, negative] if needed else distinct)
        known = [self._prompts[prompt] for prompt in distinct]
        first = (
            self._prompts[negative]
            if needed
            else tuple(torch.zeros_like(part) for part in known[0])
        )
        hidden, pooled = (torch.stack(parts) for parts in zip(first, *known, strict=True))
        self._forget()
        row = {prompt: i for i, prompt in enumerate(distinct, start=1)}
        return Words(hidden, pooled), [row[prompt] for prompt in prompts]

    def _learn(self, prompts: list[str]) -> None:
        new = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._prompts]
        for real, words in self._reader.over(
            len(new), lambda mine: self.family.embed([new[i] for i in mine])
        ):
            self._prompts.update(
                {
                    new[i]: (
                        words.hidden[i - real.start].clone(),
                        words.pooled[i - real.start].clone(),
                    )
                    for i in real
                }
            )
        self.counts["prompts"] += len(new)
        for prompt in prompts:  # used last, forgotten last
            self._prompts[prompt] = self._prompts.pop(prompt)

    def _forget(self) -> None:
        for prompt in list(self._prompts)[:-_PROMPTS_KEPT]:
            del self._prompts[prompt]

    # ---------------------------------------------------------------- pictures

    def _developed(self, latents: Tensor, size: tuple[int, int]) -> Generated:
        images = np.zeros((len(latents), *size, 3), np.uint8)
        failed = dict[int, str]()
        for real, (pictures, reasons) in self._coder.over(
            len(latents), lambda mine: self._pictures(latents[mine])
        ):
            images[real.start : real.stop] = pictures[: len(real)]
            failed |= {
                place: reason for place, reason in zip(real, reasons, strict=False) if reason
            }
        self.counts["decodes"] += len(latents)
        return Generated(images, failed)

    def _pictures(self, latents: Tensor) -> tuple[Photos, list[str]]:
        """Photos and, for each that failed, the reason."""
        decoded = self.family.decode(latents)
        finite = (
            decoded.isfinite().flatten(1).all(1) & latents.isfinite().flatten(1).all(1)
        ).tolist()
        decoded = decoded.nan_to_num()
        reasons = [WITHHELD if withheld else "" for withheld in self.family.withheld(decoded)]
        reasons = [
            reason if fine else NOT_FINITE for reason, fine in zip(reasons, finite, strict=True)
        ]
        floats = self.family.pipeline.image_processor.postprocess(decoded, output_type="np")
        pictures = (floats * 255).round().clip(0, 255).astype(np.uint8)
        pictures[[reason != "" for reason in reasons]] = 0
        return pictures, reasons


def _rolled(dice: list[torch.Generator], shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.cat([torch.randn(shape, generator=die, dtype=dtype) for die in dice])


def _drawn(codes: list[Code], samples: Tensor | None) -> Tensor:
    """Latents [n, c, h, w] from the distributions that the autoencoder answered with."""
    mean = torch.stack([mean for mean, _ in codes])
    if samples is None:
        return mean
    return mean + torch.stack([std for _, std in codes if std is not None]) * samples
