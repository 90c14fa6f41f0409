"""The size of images that a checkpoint was made for, read from its folder without loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discl.core.plain_files import parsed_json, plain_text

_FACTOR = 8  # pixels a latent stands for, where the autoencoder does not say


def sample_size(folder: Path) -> tuple[int, int] | None:
    """(height, width) in pixels: the denoiser's `sample_size` times the autoencoder's factor.

    The factor is counted as diffusers counts it, from the autoencoder's blocks. None where the
    folder does not say.
    """
    latents = _setting(folder / "unet" / "config.json", "sample_size")
    sides = latents if isinstance(latents, list) else [latents, latents]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        return None
    blocks = _setting(folder / "vae" / "config.json", "block_out_channels")
    factor = 2 ** (len(blocks) - 1) if isinstance(blocks, list) and blocks else _FACTOR
    return (sides[0] * factor, sides[1] * factor)


def _setting(path: Path, key: str) -> Any:
    """A value of a JSON object; None where there is none: loading says what is wrong."""
    try:
        content = parsed_json(plain_text(path))
    except (OSError, ValueError):
        return None
    return content.get(key) if isinstance(content, dict) else None
