"""What the loop over timesteps asks a family of checkpoints, and what most families answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from discl.core.compute.transfer import uploaded
from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.parts.generators.base.adapters.conditioning import PhotoCondition
from discl.parts.generators.base.families.sampling import Sampling

USUAL_LATENTS = 128  # a side of images of 1024 pixels, where the denoiser does not say


class PromptEmbeddings(NamedTuple):
    """Prompts as the denoiser reads them."""

    hidden: Tensor  # [b, tokens, d]
    pooled: Tensor  # [b, d], what goes with the tokens; d = 0 where the family has nothing
    lengths: Tensor | None = None  # int64 [b] on the host, tokens that are read; None = all


class Family(ABC):
    """A loaded checkpoint, and how those of its family are driven.

    One class a family, named in `FAMILIES` by what model_index.json calls its pipeline.
    """

    # the class of diffusers that loads the folder, and the part of it that denoises
    pipeline_class: ClassVar[str] = "AutoPipelineForImage2Image"
    denoiser_name: ClassVar[str] = "unet"
    # whether the denoiser is made of convolutions, which lie better in memory pixel by pixel
    is_convolutional: ClassVar[bool] = True
    # latents of a side that the denoiser takes together
    patch: ClassVar[int] = 1
    # schedulers of flow matching that it works with; () = its noise is no flow
    flow_schedulers: ClassVar[tuple[str, ...]] = ()
    # tokenizer -> tokens of a text that are read, where fewer than the tokenizer's own
    reads: ClassVar[Mapping[str, int]] = {}
    texts_at_once: ClassVar[int] = 8
    # prompts are filled up to a multiple of so many tokens; None = all have one length
    token_step: ClassVar[int | None] = None
    # whether an empty negative prompt stands for zeros, not for the embedding of ""
    empty_is_zero: bool = False

    def __init__(self, pipeline: Any, rest_text: bool | None = False) -> None:
        """`rest_text`: text encoders leave a GPU between prompts; None = where memory is short."""
        self.pipeline = pipeline
        self.rest_text = rest_text
        self.told_of_photos: Sequence[PhotoCondition] = ()  # ways, beside latents
        self.vae = pipeline.vae
        self.denoiser = getattr(pipeline, self.denoiser_name)
        # asked for at each call of the denoiser, and diffusers looks through all modules for them
        self.device: torch.device = self.denoiser.device
        self.dtype: torch.dtype = self.denoiser.dtype

    def to_dtype(self, dtype: torch.dtype) -> None:
        """Compute in `dtype` from here on; quantised weights stay as they were loaded."""
        if not getattr(self.denoiser, "is_quantized", False):
            self.pipeline.to(dtype)
        self.dtype = dtype

    # ---------------------------------------------------------------- the grid and its size

    @property
    def side(self) -> int:
        """Pixels that sides of an image are a multiple of."""
        return self.pipeline.vae_scale_factor * self.patch  # type: ignore[no-any-return]

    def latent_shape(self, height: int, width: int) -> tuple[int, ...]:
        """[1, c, h, w] of an image of height x width pixels."""
        factor = self.pipeline.vae_scale_factor
        channels = self.denoiser.config.in_channels
        return (1, channels, height // factor, width // factor)

    @property
    def usual_tokens(self) -> int:
        """Pieces that the denoiser takes of an image of the size that it was made for."""
        usual = getattr(self.denoiser.config, "sample_size", None)
        return ((usual if isinstance(usual, int) else USUAL_LATENTS) // self.patch) ** 2

    @classmethod
    def grid_options(cls, config: Mapping[str, Any], steps: int, tokens: int) -> dict[str, Any]:
        """What the scheduler, of this `config`, gets for its grid beside the number of steps.

        `tokens`: pieces of an image that the denoiser takes: its height times its width over the
        square of `side`. Where the grid follows the size of images, so do these.
        """
        return {}

    # ---------------------------------------------------------------- prompts and guidance

    @abstractmethod
    def embed(self, prompts: list[str]) -> PromptEmbeddings:
        """Embeddings of b prompts."""

    def check(self, sampling: Sampling) -> None:
        """Raises UserError for settings that have no effect on this checkpoint."""
        if sampling.guidance_rescale and not self.is_guided(sampling.most_guidance):
            raise UserError(
                f"generator.guidance_rescale = {sampling.guidance_rescale:g}: this checkpoint takes"
                " its guidance as an input, so there is nothing to rescale; leave it at 0"
            )

    def is_guided(self, text_guidance: float) -> bool:
        """Whether the denoiser is asked for the negative prompt, too."""
        return text_guidance > 1 and self.guidance_embedding(text_guidance) is None

    def guidance_embedding(self, text_guidance: float) -> Tensor | None:
        """[1, ...], for denoisers that take their guidance as an input; None elsewhere."""
        return None

    def guided(self, negative: Tensor, positive: Tensor, text_guidance: float | Tensor) -> Tensor:
        """Classifier-free guidance (Ho and Salimans 2022) of predictions [b, ...].

        `text_guidance` is the weight of all, or that of each, of a shape that fits theirs.
        """
        return negative + text_guidance * (positive - negative)

    def rest_text_encoders(self) -> None:
        """Prompts are embedded and the next ones may be far away: make room, where that is due."""
        rest = self.rest_text
        if rest is None:
            rest = self.device.type == "cuda" and _memory_is_short(self.device)
        if rest:
            self._text_encoders_to(torch.device("cpu"))

    def _text_encoders_to(self, device: torch.device) -> None:
        for name in ("text_encoder", "text_encoder_2", "text_encoder_3"):
            encoder = getattr(self.pipeline, name, None)
            if encoder is not None and encoder.device != device:
                encoder.to(device)

    # ---------------------------------------------------------------- the denoiser

    def numbers(self, size: tuple[int, int], scores: list[float]) -> Tensor | None:
        """[b, k], what the denoiser is told of the (height, width) and b aesthetic scores.

        None = it takes no such numbers.
        """
        return None

    @abstractmethod
    def predict(
        self,
        latents: Tensor,
        timesteps: Tensor,
        prompts: PromptEmbeddings,
        numbers: Tensor | None,
        guidance: Tensor | None,
    ) -> Tensor:
        """The denoiser's answer [b, ...] to latents [b, c, h, w] at timesteps [b].

        `numbers` [b, k] and `guidance` [b, ...] are those of the methods above.
        """

    def as_latents(self, prediction: Tensor, height: int, width: int) -> Tensor:
        """A prediction [b, ...] in the shape of latents [b, c, h, w], of h and w."""
        return prediction

    # ---------------------------------------------------------------- the autoencoder

    @cached_property
    def is_sampled(self) -> bool:
        """Whether the autoencoder answers with a distribution that latents are drawn from."""
        side = 8 * self.pipeline.vae_scale_factor
        black = torch.zeros(1, 3, side, side, device=self.device)
        return hasattr(self._encoded(black), "latent_dist")

    def encode(self, photos: list[Photos]) -> tuple[Tensor, Tensor | None]:
        """(mean, deviation) [b, c, h, w] of the unscaled latents of b photos [h, w, 3].

        No deviation where the autoencoder has one answer.
        """
        answer = self._encoded(self._preprocessed(photos))
        if not self.is_sampled:
            return answer.latents, None
        return answer.latent_dist.mean, answer.latent_dist.std

    def _preprocessed(self, photos: list[Photos]) -> Tensor:
        """Photos [h, w, 3] as diffusers prepares them: float32 [b, 3, h, w] in [-1, 1]."""
        height, width = (side - side % self.side for side in photos[0].shape[:2])
        if (height, width) != photos[0].shape[:2]:
            # as images, not as arrays: those diffusers brings to a size without interpolation
            images = [Image.fromarray(photo) for photo in photos]
            prepare = self.pipeline.image_processor.preprocess
            return uploaded(prepare(images, height=height, width=width), self.device)
        pixels = uploaded(torch.from_numpy(np.stack(photos)), self.device)
        return 2.0 * (pixels.permute(0, 3, 1, 2).float() / 255.0) - 1.0

    def _encoded(self, pixels: Tensor) -> Any:
        return self.vae.encode(pixels.to(self.vae.dtype))

    @abstractmethod
    def scaled(self, latents: Tensor) -> Tensor:
        """The autoencoder's latents [b, c, h, w] as the denoiser knows them."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Images [b, 3, h, w] in [-1, 1] from the denoiser's latents [b, c, h, w]."""

    def flagged(self, decoded: Tensor) -> list[bool]:
        """Whether the checkpoint's safety checker, if it has one, flags each of b images.

        `decoded` is [b, 3, h, w] in [-1, 1].
        """
        return [False] * len(decoded)


def _memory_is_short(device: torch.device) -> bool:
    """Whether less than a quarter of a GPU's memory is free."""
    free, total = torch.cuda.mem_get_info(device)
    return 4 * free < total
