"""Image to image by diffusers' own pipeline of a model, level by level: slower than `img2img`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from discl.parts.generators.base.pipelines.generator import PipelineGenerator


class Pipeline(PipelineGenerator):
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
    identity.
    """

    def __init__(
        self,
        checkpoint: str = "pkg://discl/assets/cifar10_diffusion",
        pipeline_class: str = "",
        steps: int = 12,
        text_guidance: float | None = None,
        negative_prompt: str = "",
        size: tuple[int, int] | None = None,
        arguments: Mapping[str, Any] | None = None,
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
        `dtype`: "float32", "float16" or "bfloat16", in which all networks compute.
        `chunk`: images a call makes together; halved where memory runs out. 0 is 1, and 8 on a GPU
            where prompts come to one length.
        `device`: where the work is done; "auto" takes a GPU where there is one.
        """
        super().__init__(
            checkpoint,
            pipeline_class,
            steps,
            text_guidance,
            negative_prompt,
            size,
            arguments,
            dtype,
            chunk,
            device,
        )
