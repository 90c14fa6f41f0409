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
    """Level 100 would be the photo; level 0 is a smooth pattern with noise.

    The prompt decides the pattern's colours, the request's seed its noise.
    """

    version = 1
    training_data = "nothing, since it is no network"

    def __init__(self, steps: int = 20, noise: float = 20.0) -> None:
        """Settings:

        `steps`: steps that levels are counted in, as if it denoised.
        `noise`: standard deviation of the noise, in values of 0 to 255.
        """
        self.steps = steps
        self.noise = noise

    def identity(self) -> dict[str, Any]:
        return {}

    def make(self, requests: Sequence[Request], photos: Photos) -> Generated:
        """Images of photos [b, h, w, 3], of the same size."""
        pairs = zip(requests, photos, strict=True)
        return Generated(np.stack([self._image(request, photo) for request, photo in pairs]))

    def _image(self, request: Request, photo: Photos) -> Photos:
        h, w = photo.shape[:2]
        corner_rng = np.random.default_rng(seed_of("blend", request.prompt))
        corners = corner_rng.uniform(40, 215, (2, 2, 3))
        down = np.linspace(0, 1, h)[:, None]
        across = np.linspace(0, 1, w)[:, None]
        ramp = np.stack([1 - down, down], -1)[:, 0] @ corners.reshape(2, 6)
        pattern = np.einsum(
            "hkc,wk->hwc", ramp.reshape(h, 2, 3), np.concatenate([1 - across, across], 1)
        )
        share = denoising_steps(request.level, self.steps) / self.steps
        noise = np.random.default_rng(request.seed).normal(0, self.noise, photo.shape)
        mixed = (1 - share) * photo + share * (pattern + noise)
        image: Photos = mixed.round().clip(0, 255).astype(np.uint8)
        return image
