"""How far images of the embedded checkpoint are from their photos, by scheduler and level.

`python benchmarks/perf/schedulers.py` prints grey levels (mean of 32 photos of cifar10_lt, one
prompt)
and calls of the denoiser an image.
"""

from __future__ import annotations

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Photos, Request
from discl.core.registry import bind
from discl.parts.generators.base.schedulers import SCHEDULERS

LEVELS = (0, 50, 80)
PHOTOS = 32


def main() -> None:
    """Print a line for each scheduler."""
    pixels = bind("datasets", "cifar10_lt", {}).build().split("train").pixels
    photos = pixels[:: len(pixels) // PHOTOS][:PHOTOS]
    for name in ("", *SCHEDULERS):
        try:
            print(f"{name or 'its own'}: {', '.join(_measured(name, photos))}")
        except UserError as error:
            print(f"{name}: refused: {error}")


def _measured(name: str, photos: Photos) -> list[str]:
    generator = bind("generators", "img2img", {"scheduler": name}).build()
    words = []
    for level in LEVELS:
        before = generator.counts["denoiser_images"]
        requests = [Request(level, "a photo of a cat", seed) for seed in range(len(photos))]
        images = generator.make(requests, photos).images
        calls = (generator.counts["denoiser_images"] - before) / len(photos)
        distance = np.abs(images.astype(float) - photos).mean()
        words.append(f"level {level} {distance:.1f} grey levels in {calls:g} calls")
    return words


if __name__ == "__main__":
    main()
