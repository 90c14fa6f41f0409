"""How many images a denoiser gets at a time, where nobody says it."""

from __future__ import annotations

from collections.abc import Callable

from discl.core.compute.device import has_gpu

USUAL = 32
_MOST = 256
_PIXELS = USUAL * 512 * 512  # of a group at the size most checkpoints work at


def chunk_of(device: str, photo_size: Callable[[], tuple[int, int] | None]) -> int:
    """A power of two up to 256, for images of (height, width) `photo_size`; None = unknown.

    On a GPU images are so many that they are as many pixels as 32 images of 512x512, or fewer: a
    pass of less takes as long as launching its operators, and with more of large images a lease of
    some minutes would not fill its groups on a slow GPU. Elsewhere it is 32, so that pixels stay
    what they were, to the last bit, and no checkpoint is asked.
    """
    if not (device.startswith("cuda") or (device == "auto" and has_gpu())):
        return USUAL
    size = photo_size()
    if size is None:
        return USUAL
    wanted = _PIXELS // (size[0] * size[1])
    return min(_MOST, 1 << max(1, wanted).bit_length() - 1)
