"""Image-to-image diffusion by any Stable Diffusion checkpoint: the miniature, SD, SDXL, LCM."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discl.core.compute.precision import true_float32
from discl.core.errors import UserError, is_out_of_memory
from discl.core.interfaces import Generated, Photos, Request, TextsRead
from discl.core.levels import denoising_steps
from discl.files.networks.weight_bytes import weight_bytes
from discl.files.shipped import GENERATORS, trained_on
from discl.files.weights import TRAINING_DATA, digest_of, folder_of, training_data
from discl.parts.generators.base.checkpoint_size import sample_size
from discl.parts.generators.base.chunks import chunk_of
from discl.parts.generators.base.schedulers import check_name, revision
from discl.parts.generators.base.setting_checks import (
    at_least_one,
    check_device,
    check_rescale,
    check_text_guidance,
    checked_size,
    one_of,
)

if TYPE_CHECKING:
    from discl.parts.generators.base.families import StableDiffusion
    from discl.parts.generators.base.shared_trajectory import SharedTrajectory

_PHOTO_IN_LEVEL_0 = {"noise": False, "photo_trace": True}
_SLICED = {"default": False, "sliced": True}
_DTYPES = ("float32", "float16", "bfloat16")
_RETRIED = 4  # images that are denoised together where they are made once more
MOST_STEPS = 1000
# not the single files that many repositories add
_FILES = (
    *("model_index.json", TRAINING_DATA),
    *("*/*.json", "*/*.safetensors", "*/*.txt", "*/*.model"),
)


class Img2Img:
    """SDEdit (Meng et al. 2022) with classifier-free guidance, all levels on one grid of timesteps.

    `checkpoint` is a folder in diffusers' format, `pkg://package/path`, a Hub id `owner/name` or
    `owner/name@revision`, or a generator that ships with us: `in_domain` (the default), which
    learned from photos like the benchmark's, or `gap`, which went on from there with photos as
    another camera would have taken them (discl/assets/README.md).
    `text_guidance` is diffusers' `guidance_scale`; 1 or less means none, and `negative_prompt` is
    then not used. `guidance_rescale`, from 0 to 1, mixes in guided predictions with the contrast of
    unguided ones (Lin et al. 2023). `size` is the (width, height) a photo is resized to before and
    its image keeps; none = the photo's own. Photos of which the dataset has the originals come at
    that size, or at the one the checkpoint was made for. As diffusers does, sides are cut down to
    multiples of the autoencoder's factor, 8 for Stable Diffusion: 480x270 gives 480x264. At level
    0, `level_0` = "noise" begins from pure noise, so from the text only; "photo_trace" is the
    paper's strength 1.0, where 7.6 % of the photo remain in SDXL's first latents. `scheduler` is
    the checkpoint's own or the name of one of diffusers' (docs/reference/schedulers.md). Before the
    first image it rehearses with a denoiser that knows the answer, and is refused where levels
    would not begin or end where they should. The aesthetic scores are inputs of SDXL's refiner.
    Latent consistency models share the grid too: a level takes its last steps, where diffusers
    would spread `steps` over the part below the level. diffusers' watermark is not added; an image
    that a checkpoint's own safety checker flags has failed.

    `chunk`, `device`, `channels_last`, `fused_qkv`, `attention`, `compile` and `rest_text` say how
    the work is done, not what comes out: they move a pixel by at most 2 of 255 (in float32), so
    they are no part of the identity. On a GPU float32 is computed in float32, not in TF32. In
    float16 and bfloat16 an autoencoder that overflows in float16, such as SDXL's, computes in
    bfloat16 on a GPU and in float32 on a CPU. At one setting of them, an image does not depend on
    those made with it: the denoiser gets groups of exactly `chunk`, the last one filled up, as the
    kernel it takes, and so the last bit, depends on the size. Where memory runs out, `chunk` is
    halved and the work goes on. Without one it is 32, and more where a GPU would wait for its
    operators at small images (`chunk_of`).

    An image whose values are not finite is tried once more in float32; if they are not finite
    there, it has failed.

    `counts` holds the work done so far: `denoiser_images` (images times steps, filling left out),
    `denoiser_calls`, `encodes` (of photos), `prompts` (embedded), `decodes`.
    """

    version = 2
    not_hashed = (
        *("checkpoint", "chunk", "device", "channels_last", "fused_qkv", "attention", "compile"),
        "rest_text",
    )

    def __init__(
        self,
        checkpoint: str = "pkg://discl/assets/cifar10_diffusion",
        steps: int = 12,
        text_guidance: float = 1.5,
        guidance_rescale: float = 0.0,
        size: tuple[int, int] | None = None,
        level_0: str = "noise",
        scheduler: str = "",
        negative_prompt: str = "",
        aesthetic_score: float = 6.0,
        negative_aesthetic_score: float = 2.5,
        dtype: str = "float32",
        chunk: int = 0,
        device: str = "auto",
        channels_last: bool | None = None,
        fused_qkv: bool | None = None,
        attention: str = "default",
        compile: bool | None = None,
        rest_text: bool | None = None,
        tiling: bool = False,
    ) -> None:
        """Settings:

        `checkpoint`: a folder in diffusers' format, `pkg://package/path`, a Hub id, or `gap` or
            `in_domain`.
        `steps`: denoising steps from pure noise; a level takes its share of them.
        `text_guidance`: diffusers' `guidance_scale`; 1 or less means none.
        `guidance_rescale`: how far guided predictions get the contrast of unguided ones, from 0 to
            1.
        `size`: (width, height) of the images; none is the photo's own.
        `level_0`: "noise" begins from text only, "photo_trace" is the paper's strength 1.0.
        `scheduler`: the name of one of diffusers' schedulers; empty is the checkpoint's own.
        `negative_prompt`: what images shall not show; used where there is guidance.
        `aesthetic_score`: input of SDXL's refiner for the prompt.
        `negative_aesthetic_score`: input of SDXL's refiner for the negative prompt.
        `dtype`: "float32", "float16" or "bfloat16", in which the denoiser computes.
        `chunk`: images that are denoised together; halved where memory runs out. 0 is 32, and up to
            256 of small images on a GPU.
        `device`: where the work is done; "auto" takes a GPU where there is one.
        `channels_last`: whether images lie in memory pixel by pixel, which changes speed alone;
            none does so on a GPU.
        `fused_qkv`: whether attention makes queries, keys and values in one product, which changes
            speed alone; none does so on a GPU.
        `attention`: how attention is computed; changes speed and not what comes out.
        `compile`: whether torch compiles the denoiser's blocks, which takes a minute once; none
            does so on a GPU for denoisers of 100 million weights and more.
        `rest_text`: whether text encoders leave the GPU between prompts; none does so where less
            than a quarter of its memory is free.
        `tiling`: decode large images tile by tile, with less memory and soft seams.
        """
        at_least_one("steps", steps, "denoising step is needed")
        if steps > MOST_STEPS:
            raise UserError(
                f"generator.steps = {steps}: at most {MOST_STEPS}, as many as networks learn to"
                " denoise"
            )
        if chunk < 0:
            raise UserError(
                f"generator.chunk = {chunk}: at least one image must be made at a time; 0 leaves it"
                " to the generator"
            )
        one_of("level_0", level_0, _PHOTO_IN_LEVEL_0)
        check_name(scheduler)
        one_of("dtype", dtype, _DTYPES)
        one_of("attention", attention, _SLICED)
        check_text_guidance(text_guidance)
        check_rescale(guidance_rescale, text_guidance)
        check_device(device)
        self.checkpoint = GENERATORS.get(checkpoint, checkpoint)
        self.steps = steps
        self.text_guidance = text_guidance
        self.guidance_rescale = guidance_rescale
        self.size = checked_size(size)
        self.level_0 = level_0
        self.scheduler = scheduler
        self.negative_prompt = negative_prompt
        self.scores = (aesthetic_score, negative_aesthetic_score)
        self.dtype = dtype
        self._chunk = chunk
        self.device = device
        self.channels_last = channels_last
        self.fused_qkv = fused_qkv
        self.attention = attention
        self.compile = compile
        self.rest_text = rest_text
        self.tiling = tiling
        self.counts = {
            "denoiser_images": 0,
            "denoiser_calls": 0,
            "encodes": 0,
            "prompts": 0,
            "decodes": 0,
        }

    @cached_property
    def _folder(self) -> Path:
        return folder_of(self.checkpoint, "generator.checkpoint", _FILES, tuple(GENERATORS))

    def identity(self) -> dict[str, Any]:
        identity: dict[str, Any] = {"weights": digest_of(self._folder)}
        changed = revision(self._folder, self.scheduler)
        return identity if changed == 1 else identity | {"scheduler_version": changed}

    @property
    def training_data(self) -> str:
        """What the checkpoint was trained on, as its folder says; else "unknown"."""
        return training_data(self._folder)

    @property
    def trained_on(self) -> frozenset[str]:
        return trained_on(self.checkpoint)

    @property
    def photo_size(self) -> tuple[int, int] | None:
        """(height, width) of the photos it works best from: `size`, or the checkpoint's own."""
        return (self.size[1], self.size[0]) if self.size else sample_size(self._folder)

    @cached_property
    def chunk(self) -> int:
        """Images that are denoised together, as long as memory does not run out."""
        return self._chunk or chunk_of(self.device, lambda: self.photo_size)

    @property
    def weight_bytes(self) -> int:
        """Memory that the checkpoint takes when it is loaded, what it computes with left out."""
        return weight_bytes(self._folder, 4 if self.dtype == "float32" else 2)

    def texts_read(self, texts: Sequence[str]) -> TextsRead | None:
        """What the text encoders read of texts [n]; None = all of each. Loads no weights."""
        from discl.parts.generators.base.text_limits import texts_read

        return texts_read(self._folder, texts)

    @cached_property
    def family(self) -> StableDiffusion:
        """The loaded checkpoint."""
        from discl.parts.generators.base.loading import LoadingOptions, load

        options = LoadingOptions(
            self.scheduler,
            self.dtype,
            self.device,
            _SLICED[self.attention],
            self.tiling,
            self.channels_last,
            self.fused_qkv,
            self.compile,
            self.rest_text,
        )
        return load(self._folder, self.checkpoint, options)

    @cached_property
    def trajectory(self) -> SharedTrajectory:
        """The loop that makes the images."""
        return self._new_trajectory(self.chunk)

    def _new_trajectory(self, chunk: int) -> SharedTrajectory:
        from discl.parts.generators.base.shared_trajectory import Sampling, SharedTrajectory

        sampling = Sampling(
            self.steps,
            self.text_guidance,
            self.guidance_rescale,
            self.negative_prompt,
            self.scores,
            _PHOTO_IN_LEVEL_0[self.level_0],
            chunk,
        )
        return SharedTrajectory(self.family, sampling, self.counts)

    def release(self) -> bool:
        """Give back the loaded checkpoint; says whether there was one."""
        self.__dict__.pop("trajectory", None)
        return self.__dict__.pop("family", None) is not None

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images of photos [b, h, w, 3], of the same size or of `size`.

        Raises UserError for a level that leaves no denoising step.
        """
        for level in {request.level for request in requests}:
            if denoising_steps(level, self.steps) == 0:
                raise UserError(
                    f"level {level} leaves no denoising step out of {self.steps}; lower it or raise"
                    " generator.steps"
                )
        resized = _resized(photos, self.size)
        if not requests:
            return Generated(resized)
        with true_float32():
            return self._retried(self.trajectory.make(requests, resized), requests, resized)

    def _retried(
        self, generated: Generated, requests: Sequence[Request], photos: Photos
    ) -> Generated:
        """The images, those that overflowed made once more in float32."""
        import torch

        from discl.parts.generators.base.fixed_batches import DoesNotFitError
        from discl.parts.generators.base.pixels import NOT_FINITE

        broken = [i for i, reason in generated.failed.items() if reason == NOT_FINITE]
        if not broken or self.dtype == "float32":
            return generated
        reasons = {i: reason for i, reason in generated.failed.items() if i not in broken}
        try:
            self.family.to_dtype(torch.float32)
            # few images, and not all of a lease, fail: a GPU need not fill up a whole group of them
            on_gpu = self.family.device.type == "cuda"
            chunk = min(self.chunk, _RETRIED) if on_gpu else self.chunk
            retry = self._new_trajectory(chunk).make([requests[i] for i in broken], photos[broken])
            generated.images[broken] = retry.images
            for i, reason in retry.failed.items():
                reasons[broken[i]] = f"{reason}, in float32 too"
        except (RuntimeError, MemoryError, DoesNotFitError) as error:
            if not isinstance(error, DoesNotFitError) and not is_out_of_memory(error):
                raise
            reasons |= dict.fromkeys(broken, f"{NOT_FINITE}, and float32 does not fit into memory")
        finally:
            self.family.to_dtype(getattr(torch, self.dtype))
        return Generated(generated.images, reasons)


def _resized(photos: Photos, size: tuple[int, int] | None) -> Photos:
    if size is None or photos.shape[1:3] == (size[1], size[0]):
        return photos
    from PIL import Image

    images = [Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS) for photo in photos]
    return np.stack([np.asarray(image) for image in images])
