"""What a diffusion checkpoint computes for an image of some size, and what memory that takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from discl.core.levels import TEXT_ONLY, Counting, denoising_steps
from discl.harness.price.checkpoints import Networks, factor_of
from discl.harness.price.denoisers import CAPTION_TOKENS, CLIP_TOKENS, DenoiserInput, denoised
from discl.harness.price.gpus import EAGER, Gpu
from discl.harness.price.memory import PassMemory, peak_bytes
from discl.harness.price.work import NetworkWork, counted, on_meta, weights_of

LARGE = 100_000_000  # weights of a denoiser that a generator compiles on a GPU unless it is told
MOST_CODED = 4  # images that the autoencoder gets at a time
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
        denoiser = networks.denoiser.config
        factor = factor_of(networks.config.networks["vae"])
        side = networks.family.patch
        height, width = (max(1, pixels // factor // side) * side for pixels in sampling.size)
        self._pixels = (3, height * factor, width * factor)
        channels = getattr(networks.vae.config, "latent_channels", None)
        channels = channels or getattr(networks.vae.config, "z_dim", denoiser.in_channels)
        self._coded = (channels, height, width)
        shown = denoiser.in_channels if side == 1 else channels
        self._given = DenoiserInput(
            (shown, height, width), networks.text_encoders, _tokens(networks)
        )
        # a network that was distilled from a guided one takes the guidance as an input
        distilled = getattr(denoiser, "time_cond_proj_dim", None) is not None
        takes_guidance = distilled or (networks.kind is not None and networks.kind.takes_guidance)
        self.guided = sampling.guided and not takes_guidance
        upcast = networks.upcasts and bool(getattr(networks.vae.config, "force_upcast", False))
        # one that overflows in float16 works in bfloat16 on a GPU, which has the range of float32
        half = sampling.dtype != "float32"
        self.vae_dtype = "bfloat16" if upcast and half else sampling.dtype
        large = weights_of(networks.denoiser) >= LARGE
        self.compiled = large if sampling.compiled is None else sampling.compiled

    # ---------------------------------------------------------------- FLOPs

    @cached_property
    def denoise(self) -> NetworkWork:
        """Of one call of the denoiser on one image; guidance makes two of it."""
        work = counted(lambda: self._denoised(1, torch.float32), weights_of(self.networks.denoiser))
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
        return denoised(self.networks.denoiser, self._given, images, dtype)

    @torch.no_grad()
    def _encoded(self, images: int, dtype: torch.dtype) -> Any:
        with on_meta():
            return self.networks.vae.encode(self._as_coded(self._pixels, images, dtype))

    @torch.no_grad()
    def _decoded(self, images: int, dtype: torch.dtype) -> Any:
        with on_meta():
            latents = self._as_coded(self._coded, images, dtype)
            return self.networks.vae.decode(latents, return_dict=False)

    def _as_coded(self, shape: tuple[int, ...], images: int, dtype: torch.dtype) -> Tensor:
        """Pixels or latents as the autoencoder takes them: one of videos takes one picture each."""
        channels, *size = shape
        time = (1,) if hasattr(self.networks.vae.config, "temperal_downsample") else ()
        return torch.empty(images, channels, *time, *size, dtype=dtype)

    @torch.no_grad()
    def _embedded(self, prompts: int) -> None:
        with on_meta():
            for encoder in self.networks.text_encoders:
                read = _read_tokens(self.networks)
                most = int(getattr(encoder.config, "max_position_embeddings", read))
                encoder(torch.zeros(prompts, min(read, most), dtype=torch.int64))

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
        with self.networks.in_dtype(self.networks.denoiser, dtype):
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


def _tokens(networks: Networks) -> int:
    """Tokens of a prompt, as the denoiser gets them."""
    return _read_tokens(networks) + (networks.kind.tokens_beside if networks.kind else 0)


def _read_tokens(networks: Networks) -> int:
    """Tokens of a prompt that the encoder which reads most reads."""
    if networks.family.token_step:  # filled up to a multiple, not to what can be read at most
        return CAPTION_TOKENS
    return max(networks.family.reads.values(), default=CLIP_TOKENS)


def _seconds(gpu: Gpu, work: NetworkWork, dtype: str) -> float:
    """Of a pass that makes images, which is in float32 where it says so, and not in TF32."""
    return gpu.seconds(work, dtype, tf32=False)
