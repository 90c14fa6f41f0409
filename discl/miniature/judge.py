"""The judge: a classifier of the pool's real photos, used only to measure the generator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from discl.core.interfaces import Ints, Photos
from discl.miniature.pictures import augment, to_signal
from discl.miniature.training import Recipe, Rows, StepReport, train
from discl.parts.backbones.timm import Timm

RECIPE = Recipe(steps=3200, batch=128, lr=3e-3, warmup=200, weight_decay=0.05, ema=0.995, seed=4)
# enlarged three times, as the scorer does: on native 32 px a ResNet-10 twice the size learned less
# in the same steps
IMAGE_SIZE = 96


class Enlarged(nn.Module):
    """Photos [b, 3, h, w] enlarged to `IMAGE_SIZE` before `network` sees them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, signal: torch.Tensor) -> torch.Tensor:
        """Logits [b, c]."""
        enlarged = F.interpolate(signal, size=IMAGE_SIZE, mode="bicubic", align_corners=False)
        logits: torch.Tensor = self.network(enlarged)
        return logits


def build(classes: int) -> nn.Module:
    """timm's smallest ResNet, another seed and another task than the scorer's."""
    return Enlarged(Timm("test_resnet").network(classes, RECIPE.seed))


def fit(
    network: nn.Module,
    photos: Photos,
    labels: Ints,
    recipe: Recipe,
    folder: Path,
    device: torch.device,
) -> Iterator[StepReport]:
    """Cross-entropy on photos [n, h, w, 3] with labels [n], shifted and mirrored."""

    def loss_of(rows: Rows, noise: torch.Generator) -> dict[str, torch.Tensor]:
        signal = augment(to_signal(photos[rows], torch.device("cpu")), noise).to(device)
        target = torch.from_numpy(labels[rows]).to(device)
        return {"loss": F.cross_entropy(network(signal).float(), target)}

    yield from train(network, loss_of, len(photos), recipe, folder, device)


@torch.no_grad()
def predict(network: nn.Module, photos: Photos, device: torch.device) -> Ints:
    """The most probable class of each photo [n, h, w, 3], int64 [n]."""
    network.eval()
    parts = [
        network(to_signal(photos[i : i + 500], device)).argmax(1).cpu()
        for i in range(0, len(photos), 500)
    ]
    return torch.cat(parts).numpy()
