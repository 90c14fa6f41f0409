"""Logits for whole splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discl.core.errors import UserError
from discl.core.interfaces import Floats, Photos, Split
from discl.engine.training import distributed

CHUNK = 500  # photos a forward pass

Preprocess = Callable[
    [Tensor], Tensor
]  # from what a split holds, on the device, to what the network takes


@dataclass(frozen=True)
class Normaliser:
    """From uint8 [b, h, w, 3] to the normalised float [b, 3, h, w] a backbone wants; the middle
    `crop` pixels, 0 = all.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop: int = 0

    def __call__(self, photos: Tensor) -> Tensor:
        mean, std = _channels(self.mean, photos.device), _channels(self.std, photos.device)
        return self._middle(photos).permute(0, 3, 1, 2).float().sub_(mean).div_(std)

    def _middle(self, photos: Tensor) -> Tensor:
        if not self.crop:
            return photos
        top, left = ((size - self.crop) // 2 for size in photos.shape[1:3])
        if min(top, left) < 0:
            raise UserError(
                f"train.crop = {self.crop} is larger than the photos ({photos.shape[1]} x"
                f" {photos.shape[2]}); raise dataset.side"
            )
        return photos[:, top : top + self.crop, left : left + self.crop]


@cache
def _channels(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """[1, 3, 1, 1] on the scale of bytes; kept, because a GPU would wait for it at every batch."""
    return torch.tensor(values, device=device).view(1, 3, 1, 1) * 255


@torch.no_grad()
def logits_of(
    network: nn.Module, photos: Photos, preprocess: Preprocess, device: torch.device
) -> Floats:
    """float32 [n, classes], in eval mode; the mode the network was in is restored."""
    was_training = network.training
    mine = distributed.share().rows(len(photos))
    network.eval()
    parts: list[Floats] = []
    for start in range(mine.start, mine.stop, CHUNK):
        batch = torch.from_numpy(np.array(photos[start : min(start + CHUNK, mine.stop)])).to(device)
        parts.append(network(preprocess(batch)).float().cpu().numpy())
    network.train(was_training)
    return np.asarray(distributed.gather(np.concatenate(parts), len(photos)))


@torch.no_grad()
def embedded(trunk: nn.Module, photos: Photos, preprocess: Preprocess, chunk: int) -> Floats:
    """float32 features [n, d] of photos [n, h, w, 3], in eval mode."""
    device = distributed.device()
    trunk.to(device).eval()
    parts = (
        torch.from_numpy(np.array(photos[start : start + chunk]))
        for start in range(0, len(photos), chunk)
    )
    return np.concatenate(
        [trunk(preprocess(part.to(device))).float().cpu().numpy() for part in parts]
    )


def predict(
    network: nn.Module, splits: Mapping[str, Split], preprocess: Preprocess, device: torch.device
) -> dict[str, Any]:
    """`<split>/logits` float32 [n, c], `<split>/labels` int64 [n], `<split>/ids` and, where
    several, `<split>/groups` for every split.
    """
    saved: dict[str, Any] = {}
    for name, split in splits.items():
        saved[f"{name}/logits"] = logits_of(network, split.pixels, preprocess, device)
        saved[f"{name}/labels"] = split.labels
        saved[f"{name}/ids"] = split.ids
        if len(np.unique(split.groups)) > 1:
            saved[f"{name}/groups"] = split.groups
        if not np.isfinite(saved[f"{name}/logits"]).all():
            raise UserError(
                f"the network gives logits that are not finite on {name}; lower train.lr"
            )
    return saved
