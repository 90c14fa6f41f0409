"""Repaints a part of the photo: the scene around the animal, or the animal in its scene."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Box, Generated, Photos, Request
from discl.core.plain_files import parsed_json, plain_text
from discl.parts.generators.base.inpainting.box_masks import check_box, objects_mask
from discl.parts.generators.base.setting_checks import one_of
from discl.parts.generators.img2img import Img2Img

if TYPE_CHECKING:
    from torch import Tensor

    from discl.parts.generators.base.families import Family
    from discl.parts.generators.base.shared_trajectory import SharedTrajectory

NO_BOX = "the photo has no box, and generator.without_box = 'fail'"
_WITHOUT_BOX = ("refuse", "whole", "fail")


class Inpaint(Img2Img):
    """Blended latent diffusion (Avrahami et al. 2022, 2023) by any checkpoint of `img2img`.

    `keep` = "object" leaves the animals or objects of a photo as they are and repaints the scene;
    "background" is the reverse. Where they are is told by boxes (`mask` = "boxes": those that the
    dataset has, such as a detector's), or taken to be in the middle ("centre", with `centre_share`
    of each side). All places of the latents that a box touches belong to the object; `soft` is the
    width of a soft edge around them, as a share of the shorter side. A photo `without_box` is
    refused before any work ("refuse"), repainted as a whole, as `img2img` does ("whole"), or gets
    no image ("fail").

    After each denoising step the kept part becomes the photo's latents, noised as far as the step
    came, so a level says how much of the repainted part survives, and the kept part stays at every
    level, as well as the autoencoder can tell it. It is what diffusers' inpainting pipelines do
    with a denoiser that has no inputs for a mask; one that has some is refused.
    """

    version = 1

    def __init__(
        self,
        keep: str = "object",
        mask: str = "boxes",
        centre_share: float = 0.6,
        soft: float = 0.0,
        without_box: str = "refuse",
        **settings: Any,
    ) -> None:
        """Settings, beside those of `img2img`:

        `keep`: what stays of the photo, "object" or "background".
        `mask`: where the object is: in the dataset's "boxes", or in the "centre".
        `centre_share`: share of each side that a central object takes.
        `soft`: width of a soft edge around objects, as a share of the shorter side.
        `without_box`: what happens to a photo that has no box: "refuse" stops before any work,
            "whole" repaints all of it, "fail" makes no image.
        """
        super().__init__(**settings)
        one_of("keep", keep, ("object", "background"))
        one_of("mask", mask, ("boxes", "centre"))
        one_of("without_box", without_box, _WITHOUT_BOX)
        if not 0 < centre_share < 1:
            raise UserError(
                f"generator.centre_share = {centre_share}: it is a share of each side, above 0 and"
                " below 1, so that a part stays and a part is repainted"
            )
        if not 0 <= soft <= 1:
            raise UserError(
                f"generator.soft = {soft}: it is a share of the photo's shorter side, from 0 (a"
                " hard edge) to 1"
            )
        self.keep = keep
        self.mask = mask
        self.centre_share = centre_share
        self.soft = soft
        self.without_box = without_box

    @property
    def takes_boxes(self) -> bool:
        """Whether images depend on the boxes of their photos."""
        return self.mask == "boxes"

    @property
    def needs_boxes(self) -> bool:
        """Whether each photo must have a box."""
        return self.takes_boxes and self.without_box == "refuse"

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"img2img": Img2Img.version}

    @cached_property
    def family(self) -> Family:
        """The loaded checkpoint."""
        _check_inputs(self._folder, self.checkpoint)
        return super().family

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images of photos [b, h, w, 3], of the same size or of `size`.

        Raises UserError for a level that leaves no denoising step, for a box that has no area or
        lies outside the photo, and for a photo without one where that is refused.
        """
        if not self.takes_boxes:
            return super().make(requests, photos)
        for box in {box for request in requests for box in request.boxes}:
            check_box(box)
        lacking = [i for i, request in enumerate(requests) if not request.boxes]
        if lacking and self.needs_boxes:
            raise UserError(
                f"{len(lacking)} of {len(requests)} photos have no box within what is cut from"
                ' them; set generator.without_box = "whole" to repaint such photos as a whole,'
                ' "fail" to make no image of them, or generator.mask = "centre"'
            )
        if not lacking or self.without_box == "whole":
            return super().make(requests, photos)
        return self._without(lacking, requests, photos)

    def _without(
        self, lacking: Sequence[int], requests: Sequence[Request], photos: Photos
    ) -> Generated:
        """Images of all requests but those `lacking` a box, which have failed."""
        rows = np.setdiff1d(np.arange(len(requests)), lacking)
        if not len(rows):
            return Generated(np.zeros_like(photos), dict.fromkeys(lacking, NO_BOX))
        made = super().make([requests[row] for row in rows], photos[rows])
        images = np.zeros((len(requests), *made.images.shape[1:]), np.uint8)
        images[rows] = made.images
        failed = {int(rows[i]): reason for i, reason in made.failed.items()}
        failed |= dict.fromkeys(lacking, NO_BOX)
        return Generated(images, dict(sorted(failed.items())))

    def _new_trajectory(self, chunk: int) -> SharedTrajectory:
        trajectory = super()._new_trajectory(chunk)
        trajectory.keeping = self._repainted
        return trajectory

    def _repainted(self, requests: Sequence[Request], places: tuple[int, int]) -> Tensor:
        """[n, 1, h, w], the share of each place of latents that is repainted."""
        import torch

        masks = [self._mask(request, places) for request in requests]
        return torch.from_numpy(np.stack(masks)[:, None])

    def _mask(self, request: Request, places: tuple[int, int]) -> Any:
        boxes = request.boxes if self.takes_boxes else (self._centre,)
        if not boxes:
            return np.ones(places, np.float32)
        objects = objects_mask(boxes, places, self.soft)
        return 1 - objects if self.keep == "object" else objects

    @property
    def _centre(self) -> Box:
        start = (1 - self.centre_share) / 2
        return (start, start, self.centre_share, self.centre_share)


def _check_inputs(folder: Path, checkpoint: str) -> None:
    """Raises UserError for a denoiser that takes a mask and a masked photo beside the latents."""
    takes = _number(folder / "unet" / "config.json", "in_channels")
    latents = _number(folder / "vae" / "config.json", "latent_channels")
    if takes is not None and latents is not None and takes != latents:
        raise UserError(
            f"generator.checkpoint = {checkpoint!r} is made for inpainting: its denoiser takes"
            f" {takes} numbers a place, and latents have {latents}. Generator 'inpaint' needs no"
            " such checkpoint; give it one for image-to-image, such as the one this was made from"
        )


def _number(path: Path, key: str) -> int | None:
    try:
        settings = parsed_json(plain_text(path))
    except (OSError, ValueError):  # said in a sentence where the checkpoint is loaded
        return None
    value = settings.get(key) if isinstance(settings, dict) else None
    return value if isinstance(value, int) else None
