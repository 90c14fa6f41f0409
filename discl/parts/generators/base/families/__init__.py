"""Families of checkpoints, by the class that their model_index.json names."""

from __future__ import annotations

from discl.parts.generators.base.families.base import USUAL_LATENTS, Family, PromptEmbeddings
from discl.parts.generators.base.families.chroma import Chroma
from discl.parts.generators.base.families.flux import Flux
from discl.parts.generators.base.families.qwen_image import QwenImage
from discl.parts.generators.base.families.stable_diffusion import SDXL, StableDiffusion
from discl.parts.generators.base.families.stable_diffusion_3 import StableDiffusion3
from discl.parts.generators.base.families.z_image import ZImage

__all__ = [
    "FAMILIES",
    "REFUSED",
    "SDXL",
    "USUAL_LATENTS",
    "Family",
    "PromptEmbeddings",
    "StableDiffusion",
]

# drive images otherwise than by levels of noise, or not at all: why each is refused
_BY_EXAMPLE = (
    "takes a photo as an example, with no strength to say how much of it stays; set generator.name"
    " = 'edit'"
)
_TEXT_ONLY = (
    "makes images from texts alone: diffusers has no image-to-image pipeline for it, so no photo"
    " could guide it; take a checkpoint of another family"
)
_LEVEL_BY_LEVEL = (
    "is driven level by level, its levels sharing no trajectory; set generator.name = 'pipeline'"
)
REFUSED: dict[str, str] = {
    **dict.fromkeys(
        (
            "Flux2Pipeline",
            "Flux2KleinPipeline",
            "FluxKontextPipeline",
            "QwenImageEditPipeline",
            "QwenImageEditPlusPipeline",
            "StableDiffusionInstructPix2PixPipeline",
            "StableDiffusionXLInstructPix2PixPipeline",
        ),
        _BY_EXAMPLE,
    ),
    **dict.fromkeys(
        (
            "AuraFlowPipeline",
            "BriaPipeline",
            "CogView4Pipeline",
            "HiDreamImagePipeline",
            "HunyuanDiTPipeline",
            "HunyuanImagePipeline",
            "Lumina2Pipeline",
            "LuminaPipeline",
            "PixArtAlphaPipeline",
            "PixArtSigmaPipeline",
            "SanaPipeline",
            "StableCascadeCombinedPipeline",
            "StableCascadeDecoderPipeline",
            "StableCascadePriorPipeline",
        ),
        _TEXT_ONLY,
    ),
    **dict.fromkeys(
        (
            "Kandinsky3Img2ImgPipeline",
            "Kandinsky3Pipeline",
            "KandinskyV22CombinedPipeline",
            "KandinskyV22Img2ImgCombinedPipeline",
            "KandinskyV22Img2ImgPipeline",
            "KandinskyV22Pipeline",
            "SanaSprintImg2ImgPipeline",
            "SanaSprintPipeline",
        ),
        _LEVEL_BY_LEVEL,
    ),
}

FAMILIES: dict[str, type[Family]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionImg2ImgPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": SDXL,
    "StableDiffusionXLImg2ImgPipeline": SDXL,
    "LatentConsistencyModelPipeline": StableDiffusion,
    "LatentConsistencyModelImg2ImgPipeline": StableDiffusion,
    "StableDiffusion3Pipeline": StableDiffusion3,
    "StableDiffusion3Img2ImgPipeline": StableDiffusion3,
    "FluxPipeline": Flux,
    "FluxImg2ImgPipeline": Flux,
    "QwenImagePipeline": QwenImage,
    "QwenImageImg2ImgPipeline": QwenImage,
    "ZImagePipeline": ZImage,
    "ZImageImg2ImgPipeline": ZImage,
    "ChromaPipeline": Chroma,
    "ChromaImg2ImgPipeline": Chroma,
}
