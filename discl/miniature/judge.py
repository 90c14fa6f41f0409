"""The judge: a classifier of the pool's real photos, used only to measure what the generator makes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from discl.miniature.pictures import augment, to_signal
from discl.miniature.training import Progress, Recipe, Rows, train
from discl.parts.backbones.timm import Timm
from discl.spec.kinds import Ints, Photos

RECIPE = Recipe(steps=3200, batch=128, lr=2e-3, warmup=200, weight_decay=0.05, ema=0.995, seed=4)


def build(classes: int) -> nn.Module:
    """A ResNet-10 with a 32 px stem."""
    arguments = {"layers": (1, 1, 1, 1), "channels": (32, 64, 128, 256), "stem_type": "deep", "stem_width": 16}
    network: nn.Module = Timm("resnet18", stem_stride=1, arguments=arguments).build(classes, RECIPE.seed)
    return network


def fit(
    network: nn.Module,
    photos: Photos,
    labels: Ints,
    recipe: Recipe,
    folder: Path,
    device: torch.device,
) -> Iterator[Progress]:
    """Label-smoothed cross-entropy with shifts, mirror images and one erased square a photo."""

    def loss_of(rows: Rows, noise: torch.Generator) -> dict[str, torch.Tensor]:
        signal = augment(to_signal(photos[rows], torch.device("cpu")), noise)
        top, left = (torch.randint(-4, 28, (len(rows), 1, 1), generator=noise) for _ in range(2))
        down, across = torch.arange(32)[None, :, None], torch.arange(32)[None, None, :]
        erased = (down >= top) & (down < top + 8) & (across >= left) & (across < left + 8)
        signal = signal.masked_fill(erased[:, None], 0.0).to(device)
        target = torch.from_numpy(labels[rows]).to(device)
        return {"loss": F.cross_entropy(network(signal).float(), target, label_smoothing=0.1)}

    yield from train(network, loss_of, len(photos), recipe, folder, device)


@torch.no_grad()
def predict(network: nn.Module, photos: Photos, device: torch.device) -> Ints:
    """The most probable class of each photo, int64 [n]."""
    network.eval()
    parts = [network(to_signal(photos[i : i + 500], device)).argmax(1).cpu() for i in range(0, len(photos), 500)]
    return torch.cat(parts).numpy()
