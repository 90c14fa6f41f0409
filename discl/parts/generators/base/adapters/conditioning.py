"""What a denoiser is told of each photo beside its latents, such as an image prompt or edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from xxhash import xxh3_128_digest

from discl.core.compute.transfer import uploaded
from discl.core.interfaces import Photos


class DenoiserCall:
    """A batch that the denoiser is about to get; what guidance moves away from comes first."""

    def __init__(
        self, latents: Tensor, timesteps: Tensor, hidden: Tensor, added: dict[str, Any] | None
    ) -> None:
        self.latents = latents  # [b, c, h, w]
        self.timesteps = timesteps  # [b]
        self.hidden = hidden  # [b, tokens, d]
        self.added = added  # beside the prompt


class PhotoCondition(Protocol):
    """One way to tell a denoiser of photos."""

    def prepare(self, photos: list[Photos], size: tuple[int, int]) -> Tensor:
        """[n, ...] of photos [h, w, 3], for images of (height, width) `size`; each once a photo."""

    def inputs(self, prepared: Tensor, is_wanted: Tensor, call: DenoiserCall) -> dict[str, Any]:
        """Inputs of the denoiser beside its usual ones, for rows [b, ...] of what was prepared.

        `is_wanted` [b] is 1, and 0 for the copy of an image that guidance moves away from.
        `added_cond_kwargs` among the inputs are put beside the call's.
        """


@dataclass(frozen=True)
class PhotoConditions:
    """What a denoiser is told of the photos of some images."""

    ways: Sequence[PhotoCondition]
    prepared: Sequence[Tensor]  # [photos, ...] of each way
    rows: Tensor  # int64 [n], each image's photo

    def of(self, images: Tensor) -> PhotoConditions:
        """The same for some of the images, by their places int64 [b]."""
        return PhotoConditions(self.ways, self.prepared, self.rows[images])

    def inputs(self, call: DenoiserCall) -> dict[str, Any]:
        """Inputs of the denoiser for all images; twice as many where there is guidance."""
        twice = len(call.latents) // len(self.rows)
        rows = self.rows.repeat(twice)
        is_wanted = torch.ones_like(rows)
        if twice > 1:
            is_wanted[: len(self.rows)] = 0
        inputs: dict[str, Any] = {"added_cond_kwargs": call.added}
        for way, prepared in zip(self.ways, self.prepared, strict=True):
            more = way.inputs(prepared[rows], is_wanted, call)
            if "added_cond_kwargs" in more:
                inputs["added_cond_kwargs"] = {
                    **(inputs["added_cond_kwargs"] or {}),
                    **more.pop("added_cond_kwargs"),
                }
            inputs |= more
        return inputs


def conditions_of(
    ways: Sequence[PhotoCondition],
    photos: Photos,
    order: Sequence[int],
    size: tuple[int, int],
    device: torch.device,
) -> PhotoConditions:
    """What is told of photos [b, h, w, 3] to images in an `order` of them; equal photos once.

    `size` is the (height, width) of the images.
    """
    keys = [xxh3_128_digest(np.ascontiguousarray(photo).data) for photo in photos]
    distinct = dict(zip(keys, photos, strict=True))
    pictures = list(distinct.values())
    place = {key: row for row, key in enumerate(distinct)}
    rows = torch.tensor([place[keys[index]] for index in order])
    prepared = [way.prepare(pictures, size) for way in ways]
    return PhotoConditions(ways, prepared, uploaded(rows, device))
