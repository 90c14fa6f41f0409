"""No weights: the photo fades into a pattern that the prompt and the seed decide.

For tests and for trying a set-up out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from discl.core.hashing import seed_of
from discl.core.interfaces import Generated, Photos, Request
from discl.core.levels import denoising_steps


class Blend:
    """Level 100 would be the photo, level 0 is a smooth pattern: its colours come from the prompt,
    its noise from the seed.
    """

    version = 1

    def __init__(self, steps: int = 20, noise: float = 20.0) -> None:
        self.steps, self.noise = steps, noise

    def identity(self) -> dict[str, Any]:
        return {}

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        return Generated(
            np.stack(
                [self._one(request, photo) for request, photo in zip(requests, photos, strict=True)]
            )
        )

    def _one(self, request: Request, photo: Photos) -> Photos:
        h, w = photo.shape[:2]
        colours = np.random.default_rng(seed_of("blend", request.prompt)).uniform(
            40, 215, (2, 2, 3)
        )
        down, across = (np.linspace(0, 1, n)[:, None] for n in (h, w))
        ramp = np.stack([1 - down, down], -1)[:, 0] @ colours.reshape(2, 6)
        pattern = np.einsum(
            "hkc,wk->hwc", ramp.reshape(h, 2, 3), np.concatenate([1 - across, across], 1)
        )
        share = denoising_steps(request.level, self.steps) / self.steps
        noise = np.random.default_rng(request.seed).normal(0, self.noise, photo.shape)
        mixed: Photos = (
            ((1 - share) * photo + share * (pattern + noise)).round().clip(0, 255).astype(np.uint8)
        )
        return mixed
