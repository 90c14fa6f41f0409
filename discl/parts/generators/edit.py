"""Edits photos by instructions: InstructPix2Pix, FLUX Kontext, FLUX.2, Qwen-Image-Edit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.core.interfaces import Generated, Photos, Request
from discl.core.levels import PHOTO, TEXT_ONLY
from discl.parts.generators.base.pipelines.forms import IMAGE_GUIDANCE, LEVEL_0
from discl.parts.generators.pipeline import Pipeline

if TYPE_CHECKING:
    from discl.parts.generators.base.pipelines.choose import Choice

_IMAGE_GUIDANCE = (1.0, 2.2)


class Edit(Pipeline):
    """Diffusion that is told what to change in a photo, with a meaning of levels by the model.

    Prompts are instructions such as "make it night": `prompts.name = "template"` with templates, or
    "descriptions" with one for each class or photo.

    - InstructPix2Pix (Brooks et al. 2023) has two guidance scales. A level of λ % is the one of the
      photo, s_I = low + (high - low) · λ/100 of `image_guidance`, and takes all steps: higher means
      nearer to the photo, as the authors measure. The default goes from 1.0, the least at which
      diffusers guides at all, to 2.2. At level 0 the photo still guides, by weight 1.
    - Kontext, FLUX.2 klein and Qwen-Image-Edit see the whole photo beside the picture they denoise.
      Their pipelines for inpainting have a strength, and with a mask of the whole picture edit all
      of it: a level begins from the photo at its step, as in `img2img`, with the photo beside it.
      At level 0 nothing of the photo is in the noise, and it is still seen.
    - FLUX.2 dev and Qwen-Image-Edit-Plus have nothing between text and photo: level 0 alone, and
      one image a call, as all pictures of a call are references of each image. Cross-fading their
      answer with the photo would give every level, and images that no camera takes.
    - A checkpoint that follows no instructions, but has a strength, edits by SDEdit (Meng et al.
      2022) as in `pipeline`; prompts then describe the whole image. That is the other way of ALIA
      (Dunlap et al. 2023), with its descriptions of domains as prompts.

    docs/reference/generators.md lists the classes. All else is as in `pipeline`.
    """

    version = 1
    edits = True

    def __init__(
        self, image_guidance: tuple[float, float] = _IMAGE_GUIDANCE, **settings: Any
    ) -> None:
        """Settings, beside those of `pipeline`:

        `image_guidance`: (at level 0, at level 100), InstructPix2Pix's weight of the photo.
        """
        super().__init__(**settings)
        low, high = image_guidance
        if not 1 <= low < high < math.inf:
            raise UserError(
                f"generator.image_guidance = {list(image_guidance)}: two numbers from 1 up, the"
                " lower one first, as in [1.0, 2.2]; below 1 there is no guidance at all"
            )
        self.image_guidance = (float(low), float(high))

    def identity(self) -> dict[str, Any]:
        """That of `pipeline`, and its version."""
        return super().identity() | {"pipeline_version": Pipeline.version}

    def _check_choice(self, choice: Choice) -> None:
        super()._check_choice(choice)
        if choice.form.axis != IMAGE_GUIDANCE and self.image_guidance != _IMAGE_GUIDANCE:
            raise UserError(
                f"generator.image_guidance = {list(self.image_guidance)} has no effect on"
                f" {choice.kind.__name__}, which takes no weight of the photo; leave it out"
            )
        guided = self.guidance is None or self.guidance > 1
        if choice.form.axis == IMAGE_GUIDANCE and not guided:
            raise UserError(
                f"generator.text_guidance = {self.guidance:g}: at 1 or less"
                f" {choice.kind.__name__} leaves out the guidance by the photo too, and all levels"
                " would be one; raise it above 1"
            )

    def _of_level(self) -> Callable[[int], Mapping[str, Any]]:
        if self.choice.form.axis == IMAGE_GUIDANCE:
            return lambda level: {"image_guidance_scale": self.weight_of(level)}
        if self.choice.form.axis == LEVEL_0:
            return lambda level: {}
        return super()._of_level()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a plan tells of it, in sentences."""
        told = super().notes
        if self.choice.form.axis != IMAGE_GUIDANCE:
            return told
        low, high = self.image_guidance
        return (
            *told,
            f"Levels are weights of the photo from {low:g} to {high:g}, and take all {self.steps}"
            " steps each, more than are counted here.",
        )

    def weight_of(self, level: int) -> float:
        """InstructPix2Pix's weight of the photo at a level; it rises with it."""
        low, high = self.image_guidance
        return low + (high - low) * level / PHOTO

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images of photos [b, h, w, 3], of the same size or of `size`.

        Raises UserError for a level that the model has not, and where the pipeline refuses.
        """
        for level in {request.level for request in requests} - {TEXT_ONLY}:
            if self.choice.form.axis == LEVEL_0:
                raise UserError(
                    f"level {level}: {self.choice.kind.__name__} has nothing between text and photo"
                    " to set a level by; list level 0 alone, as in levels = [0]"
                )
        return super().make(requests, photos)
