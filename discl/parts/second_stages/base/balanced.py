"""Training on stored features, with every class drawn as often as every other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from discl.core.errors import UserError
from discl.core.interfaces import TrainedFeatures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn


@dataclass(frozen=True)
class BalancedTraining:
    """SGD with momentum 0.9 and a cosine to zero, on class-balanced batches (Kang et al. 2020).

    Raises UserError for a length or a rate that is not above 0.
    """

    epochs: int  # of as many photos as there are
    lr: float
    weight_decay: float

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.lr <= 0 or self.weight_decay < 0:
            raise UserError(
                f"second_stage.epochs = {self.epochs}, lr = {self.lr} and weight_decay ="
                f" {self.weight_decay}: epochs are 1 or more, lr is above 0, weight_decay 0 or more"
            )

    def steps(self, trained: TrainedFeatures) -> int:
        """Optimiser steps of all epochs."""
        return self.epochs * math.ceil(len(trained.labels) / trained.batch)

    def run(self, module: nn.Module, trained: TrainedFeatures) -> None:
        """Train a module from features [b, d] to logits [b, c] in place."""
        import torch
        from torch.nn.functional import cross_entropy

        steps = self.steps(trained)
        optimiser = torch.optim.SGD(
            module.parameters(), self.lr, momentum=0.9, weight_decay=self.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        for rows in balanced_batches(trained, steps):
            optimiser.zero_grad(set_to_none=True)
            logits = module(trained.features[rows])
            cross_entropy(logits, trained.labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()


def balanced_batches(trained: TrainedFeatures, steps: int) -> Iterator[Tensor]:
    """Rows [batch] of each step: a class of those with photos, then a photo of it, by chance."""
    import torch

    chance = torch.Generator().manual_seed(trained.seed)
    labels = trained.labels.cpu()
    by_class = labels.argsort(stable=True)
    photos = labels.bincount()
    first = photos.cumsum(0) - photos
    present = photos.nonzero()[:, 0]
    for _ in range(steps):
        drawn = present[torch.randint(len(present), (trained.batch,), generator=chance)]
        place = (torch.rand(trained.batch, generator=chance) * photos[drawn]).long()
        rows = by_class[first[drawn] + place.clamp(max=photos[drawn] - 1)]
        yield rows.to(trained.features.device)
