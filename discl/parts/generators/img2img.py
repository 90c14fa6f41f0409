"""Image-to-image diffusion by any diffusers checkpoint: the embedded miniature, or Stable Diffusion from the Hub."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from discl.files.weights import digest_of, folder_of
from discl.spec.errors import UserError
from discl.spec.kinds import Drawn, Photos, Request
from discl.spec.levels import denoising_steps, strength


class Img2Img:
    """SDEdit (Meng et al. 2022) with classifier-free guidance, through `AutoPipelineForImage2Image`.

    `checkpoint` is a folder in diffusers' format, `pkg://package/path`, or a Hub id. `steps` is the length of the timestep
    grid, `text_guidance` is diffusers' `guidance_scale` (1 = none). `size` is the (width, height) a photo is resized to
    before and its image keeps; none = the photo's own. Weights are computed with in float32 on a CPU, in float16 on CUDA.

    Images pass the denoiser in groups of exactly `chunk`, the last one filled up with repeats: which kernel a processor
    takes, and so the last bit of a pixel, depends on the size of the batch. So batches of any size give the same images.
    """

    version = 1
    unhashed = ("checkpoint",)

    def __init__(
        self,
        checkpoint: str = "pkg://discl/assets/cifar10_diffusion",
        steps: int = 12,
        text_guidance: float = 4.0,
        size: tuple[int, int] | None = None,
        chunk: int = 32,
    ) -> None:
        if steps < 1:
            raise UserError(f"generator.steps = {steps}: at least one denoising step is needed")
        if chunk < 1:
            raise UserError(f"generator.chunk = {chunk}: at least one image must be made at a time")
        self.checkpoint, self.steps, self.text_guidance = checkpoint, steps, text_guidance
        self.size, self.chunk = size, chunk

    @cached_property
    def _folder(self) -> Path:
        return folder_of(self.checkpoint, "generator.checkpoint")

    def identity(self) -> dict[str, Any]:
        return {"weights": digest_of(self._folder)}

    @cached_property
    def _pipeline(self) -> Any:
        import torch
        from diffusers import AutoPipelineForImage2Image
        from diffusers.utils import logging
        from transformers.utils import logging as transformers_logging

        from discl.parts.generators import _patches  # noqa: F401 - the embedded checkpoint names a class of it

        logging.set_verbosity_error()
        logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        on_cuda = torch.cuda.is_available()
        variant = "fp16" if any(self._folder.glob("*/*.fp16.safetensors")) else None
        try:
            pipeline = AutoPipelineForImage2Image.from_pretrained(
                str(self._folder),
                dtype=torch.float16 if on_cuda else torch.float32,
                variant=variant,
                use_safetensors=True,
                local_files_only=True,
            )
        except (OSError, ValueError, KeyError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"generator.checkpoint = {self.checkpoint!r} does not load as a diffusers pipeline ({first})") from error
        pipeline.set_progress_bar_config(disable=True)
        return pipeline.to("cuda" if on_cuda else "cpu")

    def make(self, requests: Sequence[Request], photos: Photos) -> Drawn:
        made: dict[int, Photos] = {}
        for level in sorted({request.level for request in requests}):
            places = [i for i, request in enumerate(requests) if request.level == level]
            for start in range(0, len(places), self.chunk):
                mine = places[start : start + self.chunk]
                filled = [mine[i % len(mine)] for i in range(self.chunk)]
                images = self._at_level(level, [requests[i] for i in filled], photos[filled])
                made.update(zip(mine, images, strict=False))
        return Drawn(np.stack([made[i] for i in range(len(requests))]))

    def _at_level(self, level: int, requests: Sequence[Request], photos: Photos) -> Photos:
        import torch

        if denoising_steps(level, self.steps) == 0:
            raise UserError(f"level {level} leaves no denoising step out of {self.steps}; lower it or raise generator.steps")
        with torch.inference_mode():
            images = self._pipeline(
                prompt=[request.prompt for request in requests],
                image=_resized(photos, self.size).astype(np.float32) / 255.0,
                strength=strength(level, self.steps),
                num_inference_steps=self.steps,
                guidance_scale=self.text_guidance,
                generator=[torch.Generator().manual_seed(request.seed) for request in requests],
                output_type="np",
            ).images
        return np.asarray((images * 255).round().clip(0, 255), np.uint8)


def _resized(photos: Photos, size: tuple[int, int] | None) -> Photos:
    if size is None:
        return photos
    from PIL import Image

    return np.stack([np.asarray(Image.fromarray(photo).resize((size[0], size[1]), Image.Resampling.LANCZOS)) for photo in photos])
