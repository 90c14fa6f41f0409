"""The size of images that a checkpoint was made for, read from its folder without loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from discl.core.plain_files import parsed_json, plain_text

_AUTOENCODERS = ("vae", "movq")
_BLOCKS = ("block_out_channels", "encoder_block_out_channels")
_FACTOR = 8  # pixels a latent stands for, where the autoencoder does not say
_OF_TRANSFORMERS = 128  # latents of a side, where a transformer does not say: 1024 pixels


def sample_size(folder: Path) -> tuple[int, int] | None:
    """(height, width) in pixels: the denoiser's `sample_size` times the autoencoder's factor.

    The factor is counted as diffusers counts it, from the autoencoder's blocks. None where the
    folder does not say, but transformers that do not are made for 1024x1024 pixels.
    """
    latents = _setting(folder / "unet" / "config.json", "sample_size")
    if (folder / "transformer" / "config.json").is_file():
        latents = _setting(folder / "transformer" / "config.json", "sample_size")
        latents = _OF_TRANSFORMERS if latents is None else latents
    sides = latents if isinstance(latents, list) else [latents, latents]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        return None
    factor = pixels_of_latent(folder)
    return (sides[0] * factor, sides[1] * factor)


def pixels_of_latent(folder: Path) -> int:
    """Pixels of a side that a latent stands for; 1 where a checkpoint denoises pixels."""
    for part in _AUTOENCODERS:
        config = folder / part / "config.json"
        for key in _BLOCKS:
            blocks = _setting(config, key)
            if isinstance(blocks, list) and blocks:
                return 1 << (len(blocks) - 1)
        halvings = _setting(config, "temperal_downsample")  # of Qwen-Image's
        if isinstance(halvings, list) and halvings:
            return 1 << len(halvings)
        if config.is_file():
            return _FACTOR
    return 1


def _setting(path: Path, key: str) -> Any:
    """A value of a JSON object; None where there is none: loading says what is wrong."""
    try:
        content = parsed_json(plain_text(path))
    except (OSError, ValueError):
        return None
    return content.get(key) if isinstance(content, dict) else None
