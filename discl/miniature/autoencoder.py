"""The miniature's autoencoder: 32 px photos to 8x8 latents, in diffusers' AutoencoderKL format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from discl.miniature.training import Progress, Recipe, Rows, train

RECIPE = Recipe(steps=3000, batch=48, lr=2e-3, ema=0.998, seed=1, weight_decay=0.0)
KL_WEIGHT = 2e-4
CHANNELS = 8


def build() -> AutoencoderKL:
    """An untrained autoencoder; downscales by 4."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 96),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=4,  # a group of one channel would be instance norm, which throws the colours away
        sample_size=32,
        mid_block_add_attention=False,
    )


def to_signal(photos: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> torch.Tensor:
    """uint8 [b, 32, 32, 3] to float [b, 3, 32, 32] in -1..1."""
    return torch.from_numpy(photos).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def fit(
    vae: AutoencoderKL, photos: np.ndarray[Any, np.dtype[np.uint8]], recipe: Recipe, folder: Path, device: torch.device
) -> Iterator[Progress]:
    """Absolute error plus a small KL term; no adversary and no perceptual network, so nothing else shapes the latents."""

    def loss_of(rows: Rows, noise: torch.Generator) -> dict[str, torch.Tensor]:
        signal = to_signal(photos[rows], device)
        flip = torch.rand(len(rows), generator=noise).to(device) < 0.5
        signal = torch.where(flip[:, None, None, None], signal.flip(3), signal)
        posterior = vae.encode(signal).latent_dist
        draw = torch.randn(posterior.mean.shape, generator=noise).to(device)
        back = vae.decode(posterior.mean + posterior.std * draw).sample.float()
        # errors of neighbouring-pixel differences count as well: they are what the eye reads as sharpness
        edges = F.l1_loss(back.diff(dim=2), signal.diff(dim=2)) + F.l1_loss(back.diff(dim=3), signal.diff(dim=3))
        error = F.l1_loss(back, signal)
        kl = posterior.kl().float().mean() / posterior.mean[0].numel()
        return {"loss": error + 0.5 * edges + KL_WEIGHT * kl, "l1": error, "kl": kl}

    yield from train(vae, loss_of, len(photos), recipe, folder, device)


@torch.no_grad()
def encode(vae: AutoencoderKL, photos: np.ndarray[Any, np.dtype[np.uint8]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(mean, std) of the posterior, float32 [n, 8, 8, 8] each, unscaled."""
    means, stds = [], []
    for start in range(0, len(photos), 500):
        posterior = vae.encode(to_signal(photos[start : start + 500], device)).latent_dist
        means.append(posterior.mean.float().cpu())
        stds.append(posterior.std.float().cpu())
    return torch.cat(means), torch.cat(stds)
