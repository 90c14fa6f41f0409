"""Image-to-image diffusion by a checkpoint of a family that can share a trajectory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discl.core.compute.precision import true_float32
from discl.core.errors import UserError, is_out_of_memory
from discl.core.interfaces import Generated, Photos, Request, TextsRead
from discl.core.levels import MOST_STEPS, UNITS, Counting, LevelGrid, denoising_steps
from discl.files.networks.licences import MODEL_CARD, licence_of
from discl.files.networks.weight_bytes import weight_bytes
from discl.files.shipped import GENERATORS, trained_on
from discl.files.weights import TRAINING_DATA, digest_of, folder_of, training_data
from discl.parts.generators.base.adapters.additions import EXAMPLES, read_additions
from discl.parts.generators.base.adapters.text_settings import (
    NegativePrompts,
    guidance_by_level,
    unused,
)
from discl.parts.generators.base.checkpoint_size import sample_size
from discl.parts.generators.base.chunks import chunk_of
from discl.parts.generators.base.schedulers import check_name, revision
from discl.parts.generators.base.setting_checks import (
    at_least_one,
    check_device,
    check_negative_prompts,
    check_rescale,
    check_text_guidance,
    checked_size,
    one_of,
)

if TYPE_CHECKING:
    from discl.parts.generators.base.families import Family
    from discl.parts.generators.base.levels.told import LevelSettings
    from discl.parts.generators.base.shared_trajectory import SharedTrajectory

_PHOTO_IN_LEVEL_0 = {"noise": False, "photo_trace": True}
_SLICED = {"default": False, "sliced": True}
_DTYPES = ("float32", "float16", "bfloat16")
_RETRIED = 4  # images that are denoised together where they are made once more
# not the single files that many repositories add
_FILES = (
    *("model_index.json", TRAINING_DATA, MODEL_CARD),
    *("*/*.json", "*/*.safetensors", "*/*.txt", "*/*.model", "*/*.jinja"),
)


class Img2Img:
    """SDEdit (Meng et al. 2022) with classifier-free guidance, all levels on one grid of timesteps.

    `checkpoint` is a folder in diffusers' format, `pkg://package/path`, a Hub id `owner/name` or
    `owner/name@revision`, or a generator that ships with us: `in_domain` (the default), which
    learned from photos like the benchmark's, or `gap`, which went on from there with photos as
    another camera would have taken them (discl/assets/README.md). Its family is one of those that
    can share a trajectory (`base/families`): Stable Diffusion 1, 2, 3 and 3.5, SDXL, its refiner,
    Turbo and latent consistency models, FLUX.1, Qwen-Image, Z-Image and Chroma; each gives the
    images of diffusers' own pipeline, level by level. `text_guidance` is the weight of guidance,
    diffusers' `guidance_scale`; 1 or less means none, and `negative_prompt` is then not used.
    FLUX.1 dev takes it as an input, schnell takes none, Qwen-Image's is `true_cfg_scale`, and
    Z-Image's is 1 less in diffusers. `guidance_rescale`, from 0 to 1, mixes in guided predictions
    with the contrast of unguided ones (Lin et al. 2023). `size` is the (width, height) a photo is
    resized to before and its image keeps; none = the photo's own. Photos of which the dataset has
    the originals come at that size, or at the one the checkpoint was made for. As diffusers does,
    sides are cut down to multiples of the autoencoder's factor, 8 for Stable Diffusion: 480x270
    gives 480x264; those of flow matching to multiples of 16, as their denoisers take pairs of
    latents. At level 0, `level_0` = "noise" begins from pure noise, so from the text only;
    "photo_trace" is the paper's strength 1.0, where 7.6 % of the photo remain in SDXL's first
    latents. `scheduler` is the checkpoint's own or the name of one of diffusers'
    (docs/reference/schedulers.md). Before the first image it rehearses with a denoiser that knows
    the answer, and is refused where levels would not begin or end where they should. With flow
    matching the noise of a level follows the checkpoint's shift, and in FLUX.1 dev and Qwen-Image
    the size of images too. The aesthetic scores are inputs of SDXL's refiner. Latent consistency
    models share the grid too: a level takes its last steps, where diffusers would spread `steps`
    over the part below the level. diffusers' watermark is not added; an image that a checkpoint's
    own safety checker flags has failed.

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
        *("rest_text", "long_prompts"),
        # files, of which the identity has the digests
        *("lora", "textual_inversion", "ip_adapter", "controlnet", "gguf", "negative_prompts"),
    )

    examples = EXAMPLES

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
        levels_as: str = "steps",
        lora: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        textual_inversion: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        ip_adapter: Mapping[str, Any] | None = None,
        controlnet: Mapping[str, Any] | None = None,
        scheduler_arguments: Mapping[str, Any] | None = None,
        quantised: str = "",
        gguf: str = "",
        text_guidance_at: Mapping[str, Any] | None = None,
        negative_prompts: str = "",
        long_prompts: str = "cut",
    ) -> None:
        """Settings:

        `checkpoint`: a folder in diffusers' format, `pkg://package/path`, a Hub id, or `gap` or
            `in_domain`.
        `steps`: denoising steps from pure noise; a level takes its share of them.
        `text_guidance`: the weight of guidance; 1 or less means none.
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
        `levels_as`: what a level counts, as the benchmark's `levels_as` says: "steps" or "signal".
        `lora`: tables of LoRA files: `file` (a safetensors file, a folder, a Hub id), `scale` (1),
            `weight_name` where there are several.
        `textual_inversion`: tables of words for prompts: `file` as of a LoRA, `token` (as prompts
            write it; empty is the file's own), `weight_name`.
        `ip_adapter`: the photo as an image prompt: `file` as of a LoRA, `scale` (1), `weight_name`,
            `image_encoder` (a folder or Hub id; empty is the one beside the file).
        `controlnet`: the photo's edges as a guide: `checkpoint` (a folder or Hub id), `control`
            ("edges"), `scale` (1).
        `scheduler_arguments`: settings of the scheduler that are not the checkpoint's, as
            {use_karras_sigmas = true}.
        `quantised`: fewer bits a weight of the denoiser: "torchao-int8", "torchao-float8", or on a
            GPU "bitsandbytes-int8", "bitsandbytes-nf4".
        `gguf`: a GGUF file with the denoiser's weights.
        `text_guidance_at`: the weight of guidance of levels that have their own, as {50 = 1.2}.
        `negative_prompts`: a JSON file of negative prompts by class; "*" stands for the others.
        `long_prompts`: what happens to prompts of more tokens than are read: "cut" behind the last
            one that is, or "refuse" before any work.
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
        one_of("long_prompts", long_prompts, ("cut", "refuse"))
        one_of("levels_as", levels_as, UNITS)
        check_text_guidance(text_guidance)
        self.text_guidance_at = guidance_by_level(text_guidance_at)
        self.most_guidance = max([text_guidance, *self.text_guidance_at.values()])
        check_rescale(guidance_rescale, self.most_guidance)
        check_negative_prompts(negative_prompts, self.most_guidance)
        check_device(device)
        self.additions = read_additions(
            *(lora, textual_inversion, ip_adapter, controlnet, scheduler_arguments),
            *(quantised, gguf),
        )
        self.additions.check_with(fused_qkv, attention)
        self.checkpoint = GENERATORS.get(checkpoint, checkpoint)
        self.steps = steps
        self.text_guidance = text_guidance
        self.guidance_rescale = guidance_rescale
        self.size = checked_size(size)
        self.level_0 = level_0
        self.scheduler = scheduler
        self.negative_prompt = negative_prompt
        self.negative_prompts = NegativePrompts(negative_prompts, negative_prompt)
        self.long_prompts = long_prompts
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
        self.levels_as = levels_as
        self._countings = dict[tuple[int, int] | None, Counting]()
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
        identity |= self.additions.identity() | self.negative_prompts.identity()
        changed = revision(self._folder, self.scheduler)
        return identity if changed == 1 else identity | {"scheduler_version": changed}

    @property
    def training_data(self) -> str:
        """What the checkpoint was trained on, as its folder says; else "unknown"."""
        return training_data(self._folder)

    @property
    def licence(self) -> str:
        """What the checkpoint's model card states; else "unknown"."""
        return licence_of(self.checkpoint)

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

        return texts_read(self._folder, texts, self.additions.words)

    def remarks(self, prompts: Sequence[str]) -> Iterator[str]:
        """Sentences about settings that none of `prompts` uses."""
        return unused(prompts, self.words, self.negative_prompts)

    @property
    def negative_texts(self) -> tuple[str, ...]:
        """The negative prompts that may be used."""
        texts = (self.negative_prompt, *self.negative_prompts.by_class.values())
        return tuple(dict.fromkeys(text for text in texts if text))

    @property
    def words(self) -> tuple[str, ...]:
        """Words that prompts may use because a file of textual inversion defines them."""
        return tuple(word.token for word in self.additions.words)

    def counting(self, size: tuple[int, int] | None = None) -> Counting:
        """How many steps levels take, with photos of (height, width).

        By their share of `steps`, or by the signal that survives: that is told by configuration
        files alone. Raises UserError where those are not here.
        """
        if self.levels_as == "steps":
            return self.steps
        if size not in self._countings:
            from discl.parts.generators.base.levels.told import signal_counting

            self._countings[size] = signal_counting(self._level_settings(size), self.steps)
        return self._countings[size]

    def level_grid(self, size: tuple[int, int] | None = None) -> LevelGrid:
        """Where images may begin, with photos of (height, width); raises as `counting`."""
        from discl.parts.generators.base.levels.told import level_grid

        return level_grid(self._level_settings(size), self.steps)

    def _level_settings(self, size: tuple[int, int] | None) -> LevelSettings:
        from discl.parts.generators.base.levels.told import LevelSettings

        of_images = (self.size[1], self.size[0]) if self.size else size
        noise_at_0 = not _PHOTO_IN_LEVEL_0[self.level_0]
        more = self.additions.scheduler_arguments
        return LevelSettings(self.checkpoint, self.scheduler, noise_at_0, of_images, more)

    @cached_property
    def family(self) -> Family:
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
            self.additions,
        )
        return load(self._folder, self.checkpoint, options)

    @cached_property
    def trajectory(self) -> SharedTrajectory:
        """The loop that makes the images."""
        return self._new_trajectory(self.chunk)

    def _new_trajectory(self, chunk: int) -> SharedTrajectory:
        from discl.parts.generators.base.families.sampling import Sampling
        from discl.parts.generators.base.shared_trajectory import SharedTrajectory

        sampling = Sampling(
            self.steps,
            self.text_guidance,
            self.guidance_rescale,
            self.negative_prompt,
            self.scores,
            _PHOTO_IN_LEVEL_0[self.level_0],
            chunk,
            self.levels_as == "signal",
            self.text_guidance_at,
            self.negative_prompts if self.negative_prompts.file else None,
        )
        return SharedTrajectory(self.family, sampling, self.counts)

    def release(self) -> bool:
        """Give back the loaded checkpoint; says whether there was one."""
        self.__dict__.pop("trajectory", None)
        return self.__dict__.pop("family", None) is not None

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images of photos [b, h, w, 3], of the same size or of `size`.

        Raises UserError for a level that leaves no denoising step, or that none begins at.
        """
        counting = self.counting((photos.shape[1], photos.shape[2]))
        for level in {request.level for request in requests}:
            if denoising_steps(level, counting) == 0:
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
        if not broken or self.dtype == "float32" or self.additions.quantised:
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
