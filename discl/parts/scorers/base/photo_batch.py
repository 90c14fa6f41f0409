"""Photos as a CLIP model takes them: what open_clip's transform gives, to the last bit, in batches.

That transform makes and copies half a dozen tensors for each photo. Here a photo is only resized,
and the rest is done to the batch, on the model's device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import Tensor

from discl.core.interfaces import Photos


class PhotoBatch:
    """Photos uint8 [b, h, w, 3] to normalised tensors [b, 3, side, side] on a device.

    Models that letter-box photos, or cut them to another shape than a square, go through
    open_clip's own transform.
    """

    def __init__(self, settings: PreprocessCfg, device: str) -> None:
        self._device = device
        self._transform: Any = image_transform_v2(settings, is_train=False)
        size = settings.size
        h, w = (size, size) if isinstance(size, int) else (size[0], size[-1])
        self._size = h, w
        self._squashes = settings.resize_mode == "squash"
        self._is_plain = self._squashes or (settings.resize_mode == "shortest" and h == w)
        # open_clip looks at photos by the bicubic one where it draws it in training
        bilinear = settings.interpolation == "bilinear"
        self._filter = Image.Resampling.BILINEAR if bilinear else Image.Resampling.BICUBIC
        self._mean, self._std = (
            torch.tensor(each, device=device).view(3, 1, 1)
            for each in (settings.mean, settings.std)
        )

    def __call__(self, photos: Photos) -> Tensor:
        """The batch, float32."""
        if not self._is_plain:
            return torch.stack([self._transform(Image.fromarray(photo)) for photo in photos]).to(
                self._device
            )
        fitted = np.stack([self._fitted(photo) for photo in photos])
        batch = torch.from_numpy(fitted).to(self._device).permute(0, 3, 1, 2)
        # in the order of torchvision, whose last bits these are
        scaled = batch.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
        return scaled.sub_(self._mean).div_(self._std)

    def _fitted(self, photo: Photos) -> Photos:
        """uint8 [h, w, 3]: squashed, or the shorter side resized and the longer one cut."""
        h, w = photo.shape[:2]
        height, width = size = self._size
        if not self._squashes:
            # torchvision's rounding: down for the length, to the even number for the middle
            size = (height, int(height * w / h)) if h <= w else (int(width * h / w), width)
        top, left = round((size[0] - height) / 2), round((size[1] - width) / 2)
        if size == (h, w):
            return photo[top : top + height, left : left + width]
        image = Image.fromarray(photo)
        if left:
            # Pillow resizes rows first, and then columns: those that are cut off need not be
            image = image.resize((size[1], h), self._filter).crop((left, 0, left + width, h))
            return np.asarray(image.resize((width, height), self._filter))
        return np.asarray(image.resize(size[::-1], self._filter))[top : top + height]
