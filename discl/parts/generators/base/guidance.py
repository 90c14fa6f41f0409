"""Guidance whose predictions keep the contrast of those without it."""

from __future__ import annotations

from torch import Tensor


def rescaled(guided: Tensor, positive: Tensor, share: float) -> Tensor:
    """Guided predictions [b, c, h, w] with the deviation of the prompt's own, mixed in by `share`.

    The idea is of Lin et al. (2023, arXiv 2305.08891, section 3.4): guidance raises the deviation
    of a prediction, which overexposes images. `share` is from 0 (as guided) to 1 (the deviation of
    `positive`); diffusers calls it `guidance_rescale`.
    """
    if share == 0:
        return guided
    wanted, found = (noise.std(dim=(1, 2, 3), keepdim=True) for noise in (positive, guided))
    return share * (guided * (wanted / found)) + (1 - share) * guided
