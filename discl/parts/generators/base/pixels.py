"""Photos to latents and latents to images, by a checkpoint's autoencoder."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from xxhash import xxh3_128_digest

from discl.core.interfaces import Generated, Photos
from discl.parts.generators.base.downloads import Downloads
from discl.parts.generators.base.families import Family
from discl.parts.generators.base.fixed_batches import FixedBatches, taken

NOT_FINITE = "the checkpoint computed values that are not finite"
FLAGGED = "the checkpoint's safety checker withheld the image"

# the autoencoder works at full resolution and needs far more memory an image than the denoiser
_MAX_CODED = 4

Code = tuple[Tensor, Tensor | None]  # mean and deviation [c, h, w] of a photo's latents


class _Decoded(NamedTuple):
    """Images of a group."""

    pixels: Tensor  # uint8 [b, h, w, 3]
    finite: Tensor  # bool [b]
    flagged: list[bool]  # [b], by the checkpoint's safety checker


class PixelCoder:
    """Hands photos and latents to the autoencoder, a few at a time."""

    def __init__(self, family: Family, chunk: int, counts: dict[str, int]) -> None:
        self.family = family
        self.counts = counts
        self._groups = FixedBatches(min(chunk, _MAX_CODED))

    def codes(self, photos: Photos, indices: list[int]) -> dict[int, Code]:
        """The code of each index's photo, of photos [b, h, w, 3]; equal ones are encoded once."""
        keys = {i: xxh3_128_digest(np.ascontiguousarray(photos[i]).data) for i in indices}
        distinct = {key: photos[index] for index, key in keys.items()}
        pictures = list(distinct.values())

        def encode(batch: list[int]) -> Any:
            return self.family.encode([pictures[i] for i in batch])

        codes: list[Code] = []
        for real, (mean, std) in self._groups.run(len(pictures), encode):
            codes += [(mean[i], None if std is None else std[i]) for i in range(len(real))]
        self.counts["encodes"] += len(pictures)
        by_key = dict(zip(distinct, codes, strict=True))
        return {index: by_key[key] for index, key in keys.items()}

    def decoded(self, latents: Tensor) -> Generated:
        """Images of latents [n, c, h, w]; they come to the host while the next are decoded."""
        downloads = Downloads(self.family.device)
        arriving = []
        for real, group in self._groups.run(
            len(latents), lambda batch: self._pixels(taken(latents, batch))
        ):
            pixels = downloads.begin(group.pixels[: len(real)])
            are_finite = downloads.begin(group.finite[: len(real)])
            arriving.append((pixels, are_finite, group.flagged[: len(real)]))
        downloads.wait()
        images = np.concatenate([pixels.numpy() for pixels, _, _ in arriving])
        finite = [value for _, column, _ in arriving for value in column.tolist()]
        flagged = [value for _, _, flags in arriving for value in flags]
        failed = {i: NOT_FINITE for i, is_finite in enumerate(finite) if not is_finite}
        failed |= {i: FLAGGED for i, flag in enumerate(flagged) if flag and i not in failed}
        images[list(failed)] = 0
        self.counts["decodes"] += len(latents)
        return Generated(images, dict(sorted(failed.items())))

    def _pixels(self, latents: Tensor) -> _Decoded:
        decoded = self.family.decode(latents)
        finite = _are_finite(decoded) & _are_finite(latents)
        decoded = decoded.nan_to_num()
        flagged = self.family.flagged(decoded)
        shown = self.family.pipeline.image_processor.postprocess(decoded, output_type="pt")
        # on the device: a quarter of the bytes come to the host
        pixels = (shown.permute(0, 2, 3, 1).float() * 255).round().clamp(0, 255)
        return _Decoded(pixels.to(torch.uint8).contiguous(), finite, flagged)


def _are_finite(batch: Tensor) -> Tensor:
    """[b], whether all values of each item are finite."""
    return batch.isfinite().flatten(1).all(1)
