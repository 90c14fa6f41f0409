"""What a diffusion checkpoint computes for an image of some size, and what memory that takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from discl.core.levels import TEXT_ONLY, Counting, denoising_steps
from discl.harness.price.checkpoints import Networks
from discl.harness.price.gpus import EAGER, Gpu
from discl.harness.price.memory import PassMemory, peak_bytes
from discl.harness.price.work import NetworkWork, counted, on_meta, weights_of

LARGE = 100_000_000  # weights of a denoiser that a generator compiles on a GPU unless it is told
MOST_CODED = 4  # images that the autoencoder gets at a time
_TOKENS = 77  # of a prompt, where the text encoder does not say
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class SamplingShape:
    """Settings by which images are made."""

    size: tuple[int, int]  # (height, width) in pixels
    counting: Counting  # of the denoising steps of a level
    guided: bool
    dtype: str
    chunk: int  # images that the denoiser gets at a time
    compiled: bool | None  # None = where it pays: of large denoisers, on a GPU
    photo_in_level_0: bool


class GeneratorWork:
    """The work of one checkpoint at one size; counted when it is first asked for."""

    def __init__(self, networks: Networks, sampling: SamplingShape) -> None:
        self.networks = networks
        self.sampling = sampling
        vae = networks.vae
        blocks = getattr(vae.config, "block_out_channels", None) or (1, 1, 1, 1)
        factor = 2 ** (len(blocks) - 1)
        height, width = (max(1, side // factor) for side in sampling.size)
        self._latents = (networks.unet.config.in_channels, height, width)
        self._pixels = (3, height * factor, width * factor)
        # a network that was distilled from a guided one takes the guidance as an input
        distilled = getattr(networks.unet.config, "time_cond_proj_dim", None) is not None
        self.guided = sampling.guided and not distilled
        upcast = networks.upcasts and bool(getattr(vae.config, "force_upcast", False))
        # one that overflows in float16 works in bfloat16 on a GPU, which has the range of float32
        half = sampling.dtype != "float32"
        self.vae_dtype = "bfloat16" if upcast and half else sampling.dtype
        large = weights_of(networks.unet) >= LARGE
        self.compiled = large if sampling.compiled is None else sampling.compiled

    # ---------------------------------------------------------------- FLOPs

    @cached_property
    def denoise(self) -> NetworkWork:
        """Of one call of the denoiser on one image; guidance makes two of it."""
        work = counted(lambda: self._denoised(1, torch.float32), weights_of(self.networks.unet))
        return work.times(2 if self.guided else 1)

    @cached_property
    def encode(self) -> NetworkWork:
        """Of one photo."""
        return counted(lambda: self._encoded(1, torch.float32), weights_of(self.networks.vae))

    @cached_property
    def decode(self) -> NetworkWork:
        """Of one image."""
        return counted(lambda: self._decoded(1, torch.float32), weights_of(self.networks.vae))

    @cached_property
    def embed(self) -> NetworkWork:
        """Of one prompt."""
        encoders = self.networks.text_encoders
        return counted(lambda: self._embedded(1), sum(map(weights_of, encoders)))

    @torch.no_grad()
    def _denoised(self, images: int, dtype: torch.dtype) -> Any:
        unet = self.networks.unet
        with on_meta():
            condition = getattr(unet.config, "time_cond_proj_dim", None)
            return unet(
                torch.empty(images, *self._latents, dtype=dtype),
                torch.empty(images),
                encoder_hidden_states=torch.empty(images, _TOKENS, _width(unet), dtype=dtype),
                timestep_cond=condition and torch.empty(images, condition, dtype=dtype),
                added_cond_kwargs=self._added(images, dtype),
                return_dict=False,
            )

    def _added(self, images: int, dtype: torch.dtype) -> dict[str, Tensor] | None:
        config = self.networks.unet.config
        if getattr(config, "addition_embed_type", None) != "text_time":
            return None
        encoder: Any = self.networks.text_encoders[-1]
        pooled: int = encoder.config.projection_dim
        numbers = (config.projection_class_embeddings_input_dim - pooled) // (
            config.addition_time_embed_dim
        )
        return {
            "text_embeds": torch.empty(images, pooled, dtype=dtype),
            "time_ids": torch.empty(images, numbers, dtype=dtype),
        }

    @torch.no_grad()
    def _encoded(self, images: int, dtype: torch.dtype) -> Any:
        with on_meta():
            return self.networks.vae.encode(torch.empty(images, *self._pixels, dtype=dtype))

    @torch.no_grad()
    def _decoded(self, images: int, dtype: torch.dtype) -> Any:
        with on_meta():
            latents = torch.empty(images, *self._latents, dtype=dtype)
            return self.networks.vae.decode(latents, return_dict=False)

    @torch.no_grad()
    def _embedded(self, prompts: int) -> None:
        with on_meta():
            for encoder in self.networks.text_encoders:
                tokens = int(getattr(encoder.config, "max_position_embeddings", _TOKENS))
                encoder(torch.zeros(prompts, tokens, dtype=torch.int64))

    # ---------------------------------------------------------------- seconds

    def level_flops(self, level: int) -> float:
        """FLOPs of an image: its steps and its decoding; photo and prompt are shared by many."""
        steps = denoising_steps(level, self.sampling.counting)
        return steps * self.denoise.flops + self.decode.flops

    def level_seconds(self, level: int, gpu: Gpu, share: float) -> float:
        """Of an image whose photo and prompt are shared by as many as `share` says: 1 / n.

        Groups that are filled up are not counted in.
        """
        sampling = self.sampling
        steps = denoising_steps(level, sampling.counting)
        chunk = sampling.chunk
        coded = min(chunk, MOST_CODED)
        denoising = _seconds(gpu, self.denoise.times(chunk), sampling.dtype) / chunk
        decoding = _seconds(gpu, self.decode.times(coded), self.vae_dtype) / coded
        encoding = _seconds(gpu, self.encode.times(coded), self.vae_dtype) / coded
        if level == TEXT_ONLY and not sampling.photo_in_level_0:
            encoding = 0.0
        embedding = _seconds(gpu, self.embed, sampling.dtype)
        seconds = steps * denoising + decoding + share * (encoding + embedding)
        return seconds * (1.0 if self.compiled else EAGER)

    def loop_seconds(self, level: int, gpu: Gpu) -> float:
        """Of an image that is made alone, as a loop over diffusers' pipeline makes it."""
        sampling = self.sampling
        steps = denoising_steps(level, sampling.counting)
        return (
            steps * _seconds(gpu, self.denoise, sampling.dtype)
            + _seconds(gpu, self.encode, self.vae_dtype)
            + _seconds(gpu, self.decode, self.vae_dtype)
            + _seconds(gpu, self.embed, sampling.dtype)
        )

    # ---------------------------------------------------------------- memory

    @property
    def weight_bytes(self) -> int:
        """Of all networks, on the GPU."""
        half = _BYTES[self.sampling.dtype]
        vae = weights_of(self.networks.vae)
        others = sum(map(weights_of, self.networks.all)) - vae
        return others * half + vae * _BYTES[self.vae_dtype]

    @property
    def download_bytes(self) -> int:
        """Of the files that are fetched: each network in each precision its repository holds."""
        numbers = sum(map(weights_of, self.networks.all))
        published = self.networks.config.published or ("float32",)
        return sum(numbers * _BYTES[dtype] for dtype in published)

    @cached_property
    def denoiser_memory(self) -> PassMemory:
        """Of a call of the denoiser; guidance makes two of an image."""
        dtype = getattr(torch, self.sampling.dtype)
        with self.networks.in_dtype(self.networks.unet, dtype):
            held = peak_bytes(lambda: self._denoised(1, dtype))
        return PassMemory(0, held * (2 if self.guided else 1))

    @cached_property
    def coder_bytes(self) -> int:
        """Of the autoencoder with as many images as it gets at a time."""
        images = min(self.sampling.chunk, MOST_CODED)
        dtype = getattr(torch, self.vae_dtype)
        with self.networks.in_dtype(self.networks.vae, dtype):
            return images * peak_bytes(lambda: self._decoded(1, dtype))

    def peak_bytes(self, chunk: int) -> int:
        """Weights and what the largest pass holds beside them."""
        return self.weight_bytes + max(self.denoiser_memory.of(chunk), self.coder_bytes)

    def largest_chunk(self, room: float) -> int:
        """Images that the denoiser may get at a time in so many bytes; 0 = not even one."""
        left = room - self.weight_bytes
        return (
            self.denoiser_memory.most_images(left) if left >= self.coder_bytes / MOST_CODED else 0
        )


def _width(unet: Any) -> int:
    """Numbers of a token of the prompt, as the denoiser reads it."""
    width = unet.config.cross_attention_dim
    return int(width[0] if isinstance(width, list | tuple) else width)


def _seconds(gpu: Gpu, work: NetworkWork, dtype: str) -> float:
    """Of a pass that makes images, which is in float32 where it says so, and not in TF32."""
    return gpu.seconds(work, dtype, tf32=False)
