"""How diffusers' image-to-image pipelines are called, and which are not, each with its reason.

Nothing heavy is imported: classes are known by name. Seen in diffusers 0.42.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

STRENGTH = "strength"  # a level begins at its own step of the grid (SDEdit, Meng et al. 2022)
IMAGE_GUIDANCE = "image guidance"  # a level is a weight of the photo
LEVEL_0 = "level 0 alone"  # nothing lies between text and photo


@dataclass(frozen=True)
class Form:
    """How a pipeline class is called for images of one level."""

    axis: str = STRENGTH
    # whether prompts come to one length, whatever stands beside them: only then do images of
    # different prompts share a batch, as the last bit depends on the length
    fixed_text: bool = False
    alone: bool = False  # one image a call: it takes several pictures as references of each
    guidance: str = "guidance_scale"  # the argument that weighs the text
    arguments: Mapping[str, Any] = field(default_factory=dict)  # always handed over
    steps: int = 0  # that its own defaults are for; 0 = any
    at_other_steps: Mapping[str, Any] = field(default_factory=dict)  # handed over at others
    masked: bool = False  # it wants a mask: all of the picture
    resizes: bool = False  # it answers at a size of its own
    multiple: int = 0  # pixels that sides are cut down to; 0 = the pipeline says it


# by image-to-image class. Others with a strength are called by the default form
WITH_STRENGTH: dict[str, Form] = {
    "AltDiffusionImg2ImgPipeline": Form(),
    "ChromaImg2ImgPipeline": Form(fixed_text=True),
    "FluxImg2ImgPipeline": Form(fixed_text=True),
    "IFImg2ImgPipeline": Form(fixed_text=True),
    "Kandinsky3Img2ImgPipeline": Form(),
    "KandinskyImg2ImgCombinedPipeline": Form(multiple=64),
    "KandinskyV22Img2ImgCombinedPipeline": Form(fixed_text=True, multiple=64),
    "KolorsImg2ImgPipeline": Form(),
    "LatentConsistencyModelImg2ImgPipeline": Form(fixed_text=True),
    "QwenImageImg2ImgPipeline": Form(guidance="true_cfg_scale"),
    # with binning a picture comes back at another size, near 1024x1024
    "SanaSprintImg2ImgPipeline": Form(
        fixed_text=True,
        arguments={"use_resolution_binning": False},
        steps=2,
        at_other_steps={"intermediate_timesteps": None},
        multiple=32,
    ),
    "StableDiffusion3Img2ImgPipeline": Form(fixed_text=True),
    "StableDiffusion3PAGImg2ImgPipeline": Form(fixed_text=True),
    "StableDiffusionDepth2ImgPipeline": Form(fixed_text=True),
    "StableDiffusionImg2ImgPipeline": Form(fixed_text=True),
    "StableDiffusionPAGImg2ImgPipeline": Form(fixed_text=True),
    "StableDiffusionXLImg2ImgPipeline": Form(fixed_text=True),
    "StableDiffusionXLPAGImg2ImgPipeline": Form(fixed_text=True),
    "ZImageImg2ImgPipeline": Form(),
}

# by the class that is called: of those that follow instructions, the ones for inpainting have a
# strength where the others have none, and a mask of the whole picture makes them edit all of it
WITH_INSTRUCTIONS: dict[str, Form] = {
    "Flux2KleinInpaintPipeline": Form(fixed_text=True, masked=True),
    "Flux2Pipeline": Form(LEVEL_0, alone=True),
    "FluxKontextInpaintPipeline": Form(
        # its size would be one of those near 1024x1024 that Kontext was trained on
        fixed_text=True,
        masked=True,
        arguments={"_auto_resize": False},
    ),
    "QwenImageEditInpaintPipeline": Form(
        alone=True, guidance="true_cfg_scale", masked=True, resizes=True
    ),
    "QwenImageEditPlusPipeline": Form(LEVEL_0, alone=True, guidance="true_cfg_scale"),
    "StableDiffusionInstructPix2PixPipeline": Form(IMAGE_GUIDANCE, fixed_text=True),
    "StableDiffusionXLInstructPix2PixPipeline": Form(IMAGE_GUIDANCE, fixed_text=True),
}
# class that a checkpoint names -> class that edits with its weights
EDITED_BY = {
    "Flux2KleinPipeline": "Flux2KleinInpaintPipeline",
    "FluxKontextPipeline": "FluxKontextInpaintPipeline",
    "QwenImageEditPipeline": "QwenImageEditInpaintPipeline",
    **{name: name for name in WITH_INSTRUCTIONS},
}

_VIDEO = "makes videos"
_CONTROL = (
    "needs a picture of edges, depth or poses beside the photo; where img2img drives the family,"
    " generator.controlnet makes it"
)
_NO_STRENGTH = "takes pictures, and has no strength or other number between text and photo"
_NO_PROMPT = "takes no prompt"
_UNTRIED = "guides by the photo, and was not tried here"
_DECODER = "is a decoder, and its prior reads the prompt; its folder must hold both (the combined)"

# image-to-image classes that no generator calls, each with its reason
REFUSED: dict[str, str] = {
    "AmusedImg2ImgPipeline": "masks tokens, and draws them from the distribution of each step",
    "AnimateDiffVideoToVideoControlNetPipeline": _VIDEO,
    "AnimateDiffVideoToVideoPipeline": _VIDEO,
    "BriaFibo2Pipeline": _NO_STRENGTH,
    "BriaFiboEditPipeline": "takes instructions as JSON that another model writes",
    "ChronoEditPipeline": _VIDEO,
    "CogVideoXVideoToVideoPipeline": _VIDEO,
    "CycleDiffusionPipeline": "needs a prompt that describes the photo as it is",
    "DreamLiteMobilePipeline": _UNTRIED,
    "DreamLitePipeline": _UNTRIED,
    "Flux2KleinKVPipeline": "keeps the references of its first step, and has no strength",
    "FluxControlImg2ImgPipeline": _CONTROL,
    "FluxControlNetImg2ImgPipeline": _CONTROL,
    "GlmImagePipeline": _NO_STRENGTH,
    "HunyuanImageRefinerPipeline": "refines what HunyuanImagePipeline made, and has no strength",
    "IFImg2ImgSuperResolutionPipeline": "enlarges what IFImg2ImgPipeline made",
    "JoyImageEditPipeline": _NO_STRENGTH,
    "JoyImageEditPlusPipeline": _NO_STRENGTH,
    "Kandinsky5I2IPipeline": _NO_STRENGTH,
    "KandinskyImg2ImgPipeline": _DECODER,
    "KandinskyV22ControlnetImg2ImgPipeline": _CONTROL,
    "KandinskyV22Img2ImgPipeline": _DECODER,
    "LongCatImageEditPipeline": _NO_STRENGTH,
    "LucyEditPipeline": _VIDEO,
    "OmniGenPipeline": _NO_STRENGTH,
    "OnnxStableDiffusionImg2ImgPipeline": "runs in ONNX, not in torch",
    "QwenImage21Pipeline": _NO_STRENGTH,
    "QwenImageLayeredPipeline": "takes a photo apart into layers",
    "ShapEImg2ImgPipeline": "makes 3D shapes",
    "SkyReelsV2DiffusionForcingVideoToVideoPipeline": _VIDEO,
    "StableDiffusionControlNetImg2ImgPipeline": _CONTROL,
    "StableDiffusionDiffEditPipeline": "needs a mask, which it makes in a call of its own",
    "StableDiffusionImageVariationPipeline": _NO_PROMPT,
    "StableDiffusionModelEditingPipeline": "edits weights, not photos",
    "StableDiffusionPix2PixZeroPipeline": "needs directions of embeddings, not prompts",
    "StableDiffusionXLControlNetImg2ImgPipeline": _CONTROL,
    "StableDiffusionXLControlNetPAGImg2ImgPipeline": _CONTROL,
    "StableDiffusionXLControlNetUnionImg2ImgPipeline": _CONTROL,
    "StableUnCLIPImg2ImgPipeline": "varies an embedding of the photo, not the photo",
    "UnCLIPImageVariationPipeline": _NO_PROMPT,
    "VersatileDiffusionImageVariationPipeline": _NO_PROMPT,
    "VideoToVideoSDPipeline": _VIDEO,
    "WanVideoToVideoPipeline": _VIDEO,
    "ZImageOmniPipeline": _NO_STRENGTH,
}
