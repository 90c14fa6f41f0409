"""Photos as input of the miniature's networks."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from discl.core.interfaces import Photos


def to_signal(photos: Photos, device: torch.device) -> Tensor:
    """uint8 [b, h, w, 3] to float [b, 3, h, w] in -1..1."""
    pixels = torch.from_numpy(np.array(photos)).to(device)
    return pixels.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def augment(signal: Tensor, noise: torch.Generator) -> Tensor:
    """Mirror, shift by up to 4 pixels, and a little brightness; [b, 3, h, w] in -1..1."""
    count, _, h, w = signal.shape
    padded = F.pad(signal, (4, 4, 4, 4), mode="reflect")
    top = torch.randint(0, 9, (count, 1, 1), generator=noise)
    left = torch.randint(0, 9, (count, 1, 1), generator=noise)
    down = torch.arange(h)[None, :, None] + top
    across = torch.arange(w)[None, None, :] + left
    mirrored = torch.rand(count, 1, 1, generator=noise) < 0.5
    across = torch.where(mirrored, across.flip(2), across)
    image = torch.arange(count)[:, None, None]
    shifted = padded.permute(0, 2, 3, 1)[image, down, across].permute(0, 3, 1, 2)
    gain = 1 + 0.2 * (2 * torch.rand(count, 1, 1, 1, generator=noise) - 1)
    return (shifted * gain).clamp(-1, 1)
