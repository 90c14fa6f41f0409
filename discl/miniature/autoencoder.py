"""The miniature's autoencoder: principal components of 4x4 patches, so 8x8 latents of 32 px photos.

A convolutional AutoencoderKL was tried first and reached 25 dB after 144,000 samples; sixteen
principal components of a patch reach 33 dB with nothing to train (leaderboards/LOG.md).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from discl.core.interfaces import Photos
from discl.miniature.pictures import to_signal
from discl.parts.generators._patches import PATCH, PatchAutoencoder

_AT_A_TIME = 1000  # photos, of which memory then holds no second copy in float64


@torch.no_grad()
def fit(photos: Photos, latent_channels: int = 16) -> PatchAutoencoder:
    """Principal components of the patches of photos [n, h, w, 3].

    Each is divided by the root of its standard deviation. Full whitening would give the faintest
    detail the weight of the colours; none would leave detail to the last steps.
    """
    size = photos.shape[3] * PATCH * PATCH
    squares, count = torch.zeros(size, size, dtype=torch.float64), 0
    for i in range(0, len(photos), _AT_A_TIME):
        patches = _patches(to_signal(photos[i : i + _AT_A_TIME], torch.device("cpu")).double())
        squares += patches.T @ patches
        count += len(patches)
    variances, directions = torch.linalg.eigh(squares / count)
    top = directions[:, -latent_channels:].flip(1)  # columns, strongest first
    # eigenvectors are free in sign: the largest entry is made positive, so that two fits agree
    top = top * top.gather(0, top.abs().argmax(0, keepdim=True)).sign()
    scale = variances[-latent_channels:].flip(0).pow(0.25)
    # so that the latents have unit variance over all channels
    scale = scale * scale.pow(2).mean().sqrt()
    autoencoder: PatchAutoencoder = PatchAutoencoder(latent_channels)
    shape = (latent_channels, photos.shape[3], PATCH, PATCH)
    autoencoder.encoder.weight.copy_((top / scale).T.reshape(shape))
    autoencoder.decoder.weight.copy_((top * scale).T.reshape(shape))
    return autoencoder


def load(folder: Path) -> PatchAutoencoder:
    """The autoencoder of a shipped generator's folder, in float32."""
    shipped: PatchAutoencoder = PatchAutoencoder.from_pretrained(
        folder / "vae", torch_dtype=torch.float32
    )
    return shipped


def _patches(signal: Tensor) -> Tensor:
    """Patches [n * h/4 * w/4, c * 16] of photos [n, c, h, w]."""
    n, c, h, w = signal.shape
    split = signal.reshape(n, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(-1, c * PATCH * PATCH)


@torch.no_grad()
def encode(vae: PatchAutoencoder, photos: Photos, device: torch.device) -> Tensor:
    """Latents float32 [n, c, h/4, w/4] of photos [n, h, w, 3], scaled as for the denoiser."""
    parts = [
        vae.encode(to_signal(photos[i : i + _AT_A_TIME], device)).latents.cpu()
        for i in range(0, len(photos), _AT_A_TIME)
    ]
    return torch.cat(parts) * float(vae.config["scaling_factor"])
