"""Grey photos of more than 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FORMAT_LEVELS = (0, 65535)  # black and white of 16-bit grey


def is_deep(image: Image.Image, form: str | None) -> bool:
    """Whether a grey photo has 16 bits a pixel."""
    return image.mode.startswith("I;16") or (image.mode == "I" and form == "PPM")


def from_deep(image: Image.Image, levels: tuple[float, float]) -> Image.Image:
    """Grey of 8 bits. Without other levels 65535 is white, not the brightest pixel of a photo."""
    low, high = levels
    deep = np.asarray(image)
    scaled: NDArray[Any]
    if levels == FORMAT_LEVELS:
        scaled = (deep.astype(np.uint32) * 255 + 32767) // 65535
    else:
        scaled = np.nan_to_num((deep.astype(np.float64) - low) * (255 / (high - low))).round()
    scaled[deep == image.info.get("transparency")] = 255
    return Image.fromarray(scaled.clip(0, 255).astype(np.uint8))
