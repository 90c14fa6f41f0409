"""Logits for whole splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from discl.spec.errors import UserError
from discl.spec.kinds import Floats, Photos, Split

CHUNK = 500  # photos a forward pass


@dataclass(frozen=True)
class Normaliser:
    """From uint8 [b, h, w, 3] to the normalised float [b, 3, h, w] a backbone wants."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, photos: Tensor) -> Tensor:
        mean, std = (torch.tensor(v, device=photos.device).view(1, 3, 1, 1) * 255 for v in (self.mean, self.std))
        return (photos.permute(0, 3, 1, 2).float() - mean) / std


@torch.no_grad()
def logits_of(network: nn.Module, photos: Photos, normaliser: Normaliser, device: torch.device) -> Floats:
    """float32 [n, classes], in eval mode; the mode the network was in is restored."""
    was_training = network.training
    network.eval()
    parts = []
    for start in range(0, len(photos), CHUNK):
        batch = torch.from_numpy(np.array(photos[start : start + CHUNK])).to(device)
        parts.append(network(normaliser(batch)).float().cpu().numpy())
    network.train(was_training)
    return np.concatenate(parts)


def predict(network: nn.Module, splits: Mapping[str, Split], normaliser: Normaliser, device: torch.device) -> dict[str, Any]:
    """`<split>/logits` float32 [n, c], `<split>/labels` int64 [n] and `<split>/ids` for every split."""
    saved: dict[str, Any] = {}
    for name, split in splits.items():
        saved[f"{name}/logits"] = logits_of(network, split.pixels, normaliser, device)
        saved[f"{name}/labels"] = split.labels
        saved[f"{name}/ids"] = split.ids
        if not np.isfinite(saved[f"{name}/logits"]).all():
            raise UserError(f"the network gives logits that are not finite on {name}; lower train.lr")
    return saved
