"""Image to image by diffusers' own pipeline of a model, level by level: any that has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.compute.device import has_gpu
from discl.core.compute.precision import true_float32
from discl.core.errors import UserError
from discl.core.interfaces import Generated, Photos, Request, TextsRead
from discl.core.levels import denoising_steps
from discl.files.networks.licences import MODEL_CARD, licence_of
from discl.files.networks.weight_bytes import weight_bytes
from discl.files.shipped import GENERATORS, trained_on
from discl.files.weights import TRAINING_DATA, digest_of, folder_of, training_data
from discl.parts.generators.base.adapters.additions import EXAMPLES, read_additions
from discl.parts.generators.base.checkpoint_size import sample_size
from discl.parts.generators.base.setting_checks import (
    at_least_one,
    check_device,
    check_text_guidance,
    checked_size,
    one_of,
)

if TYPE_CHECKING:
    from discl.parts.generators.base.pipelines.calls import PipelineCalls
    from discl.parts.generators.base.pipelines.choose import Choice

_DTYPES = ("float32", "float16", "bfloat16")
_FILES = (
    *("model_index.json", TRAINING_DATA, MODEL_CARD),
    *("*/*.json", "*/*.safetensors", "*/*.txt", "*/*.model", "*/*.jinja"),
)
_ON_GPU = 8  # images a call there


class Pipeline:
    """Whatever `AutoPipelineForImage2Image` loads, called as it is: SDEdit (Meng et al. 2022).

    For checkpoints that `img2img` does not drive: docs/reference/generators.md lists which does
    what. A level of λ % begins at the `strength` that takes round((1 - λ/100) · `steps`) steps; how
    much of the photo survives there depends on the model and its scheduler. Level 0 is strength 1,
    of which the pipeline decides how much photo is left in it (none with flow matching, a few
    percent with Stable Diffusion).

    A call makes images of one level only, encodes the photo of each and its prompt again, and
    leaves a group unfilled at each level. Where prompts come to lengths of their own (Qwen-Image,
    Z-Image), those of a call have one prompt. So an image depends on nothing but its request and
    its photo: each has its own generator of chance, on the CPU, and calls get exactly `chunk`
    images, the last one filled up. A pipeline that draws other chance, or begins two levels at one
    timestep, is refused when it does.

    An image whose values are not finite, or that the checkpoint's safety checker flags, has failed.
    `chunk` and `device` move a pixel by at most 2 of 255 (in float32) and are no part of the
    identity. LoRA files and quantisation are as in `img2img`.

    `counts` holds the work done so far: `calls` of the pipeline, `denoiser_calls` (steps of the
    scheduler), `denoiser_images` (images times steps, filling left out).
    """

    version = 1
    not_hashed = ("checkpoint", "chunk", "device", "lora", "gguf")
    examples = EXAMPLES
    edits = False  # whether a checkpoint that follows instructions is what it is for

    def __init__(
        self,
        checkpoint: str = "pkg://discl/assets/cifar10_diffusion",
        pipeline_class: str = "",
        steps: int = 12,
        text_guidance: float | None = None,
        negative_prompt: str = "",
        size: tuple[int, int] | None = None,
        arguments: Mapping[str, Any] | None = None,
        lora: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None,
        quantised: str = "",
        gguf: str = "",
        dtype: str = "float32",
        chunk: int = 0,
        device: str = "auto",
    ) -> None:
        """Settings:

        `checkpoint`: a folder in diffusers' format, `pkg://package/path`, a Hub id, or `gap` or
            `in_domain`.
        `pipeline_class`: the class of diffusers that is called; empty is that for the checkpoint.
        `steps`: denoising steps from pure noise; a level takes its share of them.
        `text_guidance`: what the pipeline takes as `guidance_scale` (Qwen's as `true_cfg_scale`),
            with the meaning it has there; none is the pipeline's own.
        `negative_prompt`: what images shall not show.
        `size`: (width, height) of the images; none is the photo's own.
        `arguments`: further arguments of the pipeline's call, by name.
        `lora`: tables of LoRA files: `file` (a safetensors file, a folder, a Hub id), `scale` (1),
            `weight_name`.
        `quantised`: fewer bits a weight of the denoiser: "torchao-int8", "torchao-float8", or on a
            GPU "bitsandbytes-int8" or "bitsandbytes-nf4".
        `gguf`: a GGUF file with the denoiser's weights.
        `dtype`: "float32", "float16" or "bfloat16", in which all networks compute.
        `chunk`: images a call makes together; halved where memory runs out. 0 is 1, and 8 on a GPU
            where prompts come to one length.
        `device`: where the work is done; "auto" takes a GPU where there is one.
        """
        at_least_one("steps", steps, "denoising step is needed")
        if chunk < 0:
            raise UserError(
                f"generator.chunk = {chunk}: at least one image must be made at a time; 0 leaves it"
                " to the generator"
            )
        if text_guidance is not None:
            check_text_guidance(text_guidance)
        one_of("dtype", dtype, _DTYPES)
        check_device(device)
        self.checkpoint = GENERATORS.get(checkpoint, checkpoint)
        self.pipeline_class = pipeline_class
        self.steps = steps
        self.guidance = text_guidance
        self.negative_prompt = negative_prompt
        self.size = checked_size(size)
        self.arguments = dict(arguments or {})
        self._additions = read_additions(lora, None, None, None, None, quantised, gguf)
        self.dtype = dtype
        self._chunk = chunk
        self.device = device
        self.counts = {"calls": 0, "denoiser_calls": 0, "denoiser_images": 0}

    # ---------------------------------------------------------------- before anything is loaded

    @cached_property
    def _folder(self) -> Path:
        return folder_of(self.checkpoint, "generator.checkpoint", _FILES, tuple(GENERATORS))

    @cached_property
    def choice(self) -> Choice:
        """The class of diffusers that makes the images, with all settings checked against it."""
        from discl.parts.generators.base.pipelines.arguments import check_arguments
        from discl.parts.generators.base.pipelines.choose import choose

        choice = choose(self._folder, self.checkpoint, self.pipeline_class, self.edits)
        check_arguments(choice.kind, choice.form, self.arguments)
        self._check_choice(choice)
        return choice

    def _check_choice(self, choice: Choice) -> None:
        from discl.parts.generators.base.pipelines.guidance import check_guidance

        check_guidance(choice, self.guidance, self.negative_prompt, self.arguments)

    def identity(self) -> dict[str, Any]:
        """The digest of the weights, the class that makes the images of them, what is added."""
        made_by = {"weights": digest_of(self._folder), "pipeline": self.choice.kind.__name__}
        return made_by | self._additions.identity()

    @property
    def licence(self) -> str:
        """What the checkpoint's model card states; else "unknown"."""
        return licence_of(self.checkpoint)

    @property
    def training_data(self) -> str:
        """What the checkpoint was trained on, as its folder says; else "unknown"."""
        return training_data(self._folder)

    @property
    def trained_on(self) -> frozenset[str]:
        return trained_on(self.checkpoint)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a plan tells of it, in sentences."""
        from discl.parts.generators.base.families import FAMILIES

        name = self.choice.kind.__name__
        instead = (
            "; generator.name = 'img2img' drives this checkpoint too, in one loop"
            if name in FAMILIES and not self.pipeline_class
            else ""
        )
        return (
            f"Images are made by calls of {name}, level by level: photos and prompts are encoded"
            " anew in each call, and a group that a level leaves unfilled is filled up, so that it"
            f" is mostly slower than one loop over all levels{instead}.",
        )

    @property
    def photo_size(self) -> tuple[int, int] | None:
        """(height, width) of the photos it works best from: `size`, or the checkpoint's own."""
        return (self.size[1], self.size[0]) if self.size else sample_size(self._folder)

    @property
    def weight_bytes(self) -> int:
        """Memory that the checkpoint takes when it is loaded, what it computes with left out."""
        return weight_bytes(self._folder, 4 if self.dtype == "float32" else 2)

    def texts_read(self, texts: Sequence[str]) -> TextsRead | None:
        """What the text encoders read of texts [n]; None = all of each. Loads no weights."""
        from discl.parts.generators.base.text_limits import texts_read

        return texts_read(self._folder, texts) if (self._folder / "tokenizer").is_dir() else None

    @cached_property
    def chunk(self) -> int:
        """Images that a call makes together, as long as memory does not run out."""
        form = self.choice.form
        if form.alone:
            return 1
        on_gpu = self.device.startswith("cuda") or (self.device == "auto" and has_gpu())
        return self._chunk or (_ON_GPU if on_gpu and form.fixed_text else 1)

    # ---------------------------------------------------------------- loaded

    @cached_property
    def calls(self) -> PipelineCalls:
        """The loaded pipeline, ready to be called."""
        import torch

        from discl.parts.generators.base.loading import device_of, from_folder
        from discl.parts.generators.base.pipelines.calls import PipelineCalls
        from discl.parts.generators.base.pipelines.guidance import check_embedded

        kind, form = self.choice
        device = device_of(self.device)
        dtype = getattr(torch, self.dtype)
        more = self._additions.loading_arguments(self._folder, dtype, device.type == "cuda")
        pipeline = from_folder(self._folder, self.checkpoint, dtype, kind.__name__, **more)
        check_embedded(pipeline, form, self.guidance, self.checkpoint)
        pipeline.to(device)
        self._additions.add_to(pipeline)
        return PipelineCalls(
            pipeline, form, self._of_level(), self._constant(), self.chunk, self.counts
        )

    def _constant(self) -> dict[str, Any]:
        """The arguments of every call."""
        form = self.choice.form
        usual = {} if self.steps == form.steps else form.at_other_steps
        given: dict[str, Any] = {**usual, **self.arguments, "num_inference_steps": self.steps}
        if self.guidance is not None:
            given[form.guidance] = self.guidance
        if self.negative_prompt:
            given["negative_prompt"] = self.negative_prompt
        return given

    def _of_level(self) -> Callable[[int], Mapping[str, Any]]:
        """What a level stands for in the arguments of a call."""
        from discl.parts.generators.base.pipelines.strengths import strength_of

        kind = self.choice.kind
        return lambda level: {"strength": strength_of(kind, level, self.steps)}

    def release(self) -> bool:
        """Give back the loaded checkpoint; says whether there was one."""
        return self.__dict__.pop("calls", None) is not None

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images of photos [b, h, w, 3], of the same size or of `size`.

        Raises UserError for a level that leaves no denoising step, and where the pipeline refuses.
        """
        for level in {request.level for request in requests}:
            if denoising_steps(level, self.steps) == 0:
                raise UserError(
                    f"level {level} leaves no denoising step out of {self.steps}; lower it or raise"
                    " generator.steps"
                )
        with true_float32():
            return self.calls.make(requests, photos, self.size)
