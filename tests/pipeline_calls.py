"""How diffusers' pipelines are called for one image, for comparison with the generators that do it.

Checkpoints are those of `discl.testing.pipeline_checkpoints`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from PIL import Image

from discl.core.levels import denoising_steps

SIDE = 32  # pixels of the photos that are compared


class SingleCall(NamedTuple):
    """What a class is called with beside photo, prompt, seed and steps."""

    name: str  # of the class
    axis: str = "strength"  # the argument that a level is; "" = there is level 0 alone
    more: Mapping[str, Any] = {}
    arguments: Mapping[str, Any] = {}  # that the generator is told to hand over, too
    is_masked: bool = False
    steps: int = 4
    side: int = SIDE
    images: int = 3  # that are compared

    def of_level(self, level: int) -> dict[str, Any]:
        """The arguments of one call at a level."""
        given = {**self.more, **self.arguments}
        if self.axis == "strength":
            given["strength"] = denoising_steps(level, self.steps) / self.steps
        if self.axis == "image_guidance_scale":  # half way between 1.0 and 2.2
            given[self.axis] = {0: 1.0, 50: 1.6}[level]
        if self.is_masked:
            given["mask_image"] = Image.new("L", (self.side, self.side), 255)
        return given


SIZE = {"height": SIDE, "width": SIDE}
# by checkpoint
BY_STRENGTH = {
    "chroma": SingleCall("ChromaImg2ImgPipeline", more=SIZE),
    "qwen_image": SingleCall("QwenImageImg2ImgPipeline", more=SIZE),
    "z_image": SingleCall("ZImageImg2ImgPipeline", more=SIZE),
    "deepfloyd_if": SingleCall("IFImg2ImgPipeline"),
    "depth_to_image": SingleCall("StableDiffusionDepth2ImgPipeline"),
    "kandinsky_22": SingleCall(
        "KandinskyV22Img2ImgCombinedPipeline", more={"height": 64, "width": 64}, side=64
    ),
    "kandinsky_3": SingleCall("Kandinsky3Img2ImgPipeline"),
    "flux_dev": SingleCall("FluxImg2ImgPipeline", more=SIZE, arguments={"max_sequence_length": 32}),
    "lcm": SingleCall("LatentConsistencyModelImg2ImgPipeline"),
    "pag": SingleCall("StableDiffusionPAGImg2ImgPipeline"),
    "pag_sd3": SingleCall("StableDiffusion3PAGImg2ImgPipeline", more=SIZE),
    "pag_xl": SingleCall("StableDiffusionXLPAGImg2ImgPipeline"),
    "sana_sprint": SingleCall(
        "SanaSprintImg2ImgPipeline", more={**SIZE, "use_resolution_binning": False}, steps=2
    ),
    "sd": SingleCall("StableDiffusionImg2ImgPipeline"),
    "sd3": SingleCall("StableDiffusion3Img2ImgPipeline", more=SIZE),
    "sdxl": SingleCall("StableDiffusionXLImg2ImgPipeline"),
}
BY_INSTRUCTION = {
    "flux2": SingleCall("Flux2Pipeline", axis="", more={"height": 64, "width": 64}, side=64),
    "instruct_pix2pix": SingleCall(
        "StableDiffusionInstructPix2PixPipeline", axis="image_guidance_scale"
    ),
    "instruct_pix2pix_xl": SingleCall(
        "StableDiffusionXLInstructPix2PixPipeline", axis="image_guidance_scale", more=SIZE
    ),
    # the whole picture is repainted, at the size it has
    "flux2_klein": SingleCall("Flux2KleinInpaintPipeline", more=SIZE, is_masked=True),
    "kontext": SingleCall(
        "FluxKontextInpaintPipeline",
        more={**SIZE, "_auto_resize": False},
        arguments={"max_sequence_length": 32},
        is_masked=True,
    ),
    # both see the photo at a megapixel, which takes long
    "qwen_edit": SingleCall("QwenImageEditInpaintPipeline", is_masked=True, steps=2, images=1),
    "qwen_edit_plus": SingleCall(
        "QwenImageEditPlusPipeline", axis="", more=SIZE, steps=2, images=1
    ),
}
