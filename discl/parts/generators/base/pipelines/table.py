"""What is done with each image-to-image class of the installed diffusers."""

from __future__ import annotations

import re
from typing import NamedTuple

from discl.parts.generators.base.families import FAMILIES
from discl.parts.generators.base.pipelines.choose import missing_libraries
from discl.parts.generators.base.pipelines.forms import (
    EDITED_BY,
    IMAGE_GUIDANCE,
    LEVEL_0,
    REFUSED,
    STRENGTH,
    WITH_INSTRUCTIONS,
    WITH_STRENGTH,
)

_NAMED = re.compile(
    r"Img2Img|Image2Image|VideoToVideo|Edit|Pix2Pix|Kontext|I2I|Depth2|Variation|CycleDiffusion"
)
_ALSO = {name for name in (*EDITED_BY, *REFUSED) if not _NAMED.search(name)}
LEVELS = {
    STRENGTH: "steps",
    IMAGE_GUIDANCE: "image guidance",
    LEVEL_0: "level 0 alone",
}
# of those that `pipeline` or `edit` calls: compared with single calls on a small checkpoint
COMPARED = frozenset(
    {
        "ChromaImg2ImgPipeline",
        "Flux2KleinInpaintPipeline",
        "Flux2Pipeline",
        "FluxImg2ImgPipeline",
        "FluxKontextInpaintPipeline",
        "IFImg2ImgPipeline",
        "Kandinsky3Img2ImgPipeline",
        "KandinskyV22Img2ImgCombinedPipeline",
        "LatentConsistencyModelImg2ImgPipeline",
        "QwenImageEditInpaintPipeline",
        "QwenImageEditPlusPipeline",
        "QwenImageImg2ImgPipeline",
        "SanaSprintImg2ImgPipeline",
        "StableDiffusion3Img2ImgPipeline",
        "StableDiffusion3PAGImg2ImgPipeline",
        "StableDiffusionDepth2ImgPipeline",
        "StableDiffusionImg2ImgPipeline",
        "StableDiffusionInstructPix2PixPipeline",
        "StableDiffusionPAGImg2ImgPipeline",
        "StableDiffusionXLImg2ImgPipeline",
        "StableDiffusionXLInstructPix2PixPipeline",
        "StableDiffusionXLPAGImg2ImgPipeline",
        "ZImageImg2ImgPipeline",
    }
)


class Row(NamedTuple):
    """A class, and what is known of it."""

    name: str
    generators: tuple[str, ...]  # that make images with it, the best first; () = none
    levels: str  # what a level is to it
    equal: bool  # whether images were compared with its single calls, to 2 of 255
    lora: bool
    quantised: bool
    why: str  # the reason of a no


def classes_of_diffusers() -> list[str]:
    """Names of the installed diffusers' image-to-image classes, by name and by its own mapping."""
    import diffusers
    from diffusers.pipelines.auto_pipeline import AUTO_IMAGE2IMAGE_PIPELINES_MAPPING

    exported = {name for name in dir(diffusers) if re.fullmatch(r"\w+(?<!Modular)Pipeline", name)}
    paired = {kind.__name__ for kind in AUTO_IMAGE2IMAGE_PIPELINES_MAPPING.values()}
    return sorted(paired | {name for name in exported if _NAMED.search(name) or name in _ALSO})


def row_of(name: str) -> Row | None:
    """What is known of a class; None where nothing is."""
    import diffusers

    if name in REFUSED:
        return Row(name, (), "", False, False, False, f"It {REFUSED[name]}.")
    generators = tuple(_generators_of(name))
    if not generators:
        return None
    called = EDITED_BY.get(name, name)
    form = WITH_INSTRUCTIONS.get(called) or WITH_STRENGTH[called]
    kind = getattr(diffusers, called)
    equal = "img2img" in generators or called in COMPARED
    lacking = missing_libraries(kind)
    lora = not lacking and hasattr(kind, "load_lora_weights")
    quantised = not lacking
    why = {
        f"It needs {' and '.join(lacking)}, not installed where this was written.": lacking,
        "Not run, since no small checkpoint was made: called as its signature says.": not equal,
        "It takes no LoRA.": not lora and not lacking,
        f"Its weights are called as {called}, which has a strength.": called != name,
    }
    reasons = " ".join(reason for reason, holds in why.items() if holds)
    return Row(name, generators, LEVELS[form.axis], equal, lora, quantised, reasons)


def _generators_of(name: str) -> list[str]:
    if name in EDITED_BY:
        return ["edit"]
    return [
        generator
        for generator, drives in (("img2img", FAMILIES), ("pipeline", WITH_STRENGTH))
        if name in drives
    ]
