"""What stays of a photo while the rest is repainted: put back after each step, as noisy as that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from discl.core.interfaces import Request
from discl.parts.generators.base.descent import Descent

# from requests [n] and the (height, width) of latents to float32 [n, 1, h, w] on the host: the
# share of each place that is repainted, 1 = all of it
Keeping = Callable[[Sequence[Request], tuple[int, int]], Tensor]


@dataclass(frozen=True)
class KeptRegion:
    """The photos of a batch, and which part of them stays.

    Blended diffusion in latents (Avrahami et al. 2022, 2023; the replacement step of Lugmayr et al.
    2022): after each step the kept part becomes the photo's latents, noised as far as the step came
    with the image's own first noise, and after the last step those latents themselves.
    """

    repainted: Tensor  # [n, 1, h, w], the share of each place that may change
    clean: Tensor  # [n, c, h, w], latents of the photos
    noise: Tensor  # [n, c, h, w], that their images began from

    def put_back(self, latents: Tensor, descent: Descent) -> Tensor:
        """Latents [n, c, h, w] after a step of `descent`, with the kept part of the photo."""
        photo = descent.noised(self.clean, self.noise)
        return (1 - self.repainted) * photo + self.repainted * latents
