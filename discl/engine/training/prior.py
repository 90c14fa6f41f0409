"""Whether a loss that says it corrects the prior knows the counts it would need for it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from discl.core.errors import UserError
from discl.core.interfaces import Loss

COUNTS = (100.0, 10.0, 1.0)
PROGRESS = (0.0, 0.5, 0.999)  # some losses use counts late in a run only


class _FixedLogits:
    """A network of three classes whose logits are given; it says it has a cosine head."""

    cosine_scale = 1.0

    def __call__(self, images: Tensor) -> Tensor:
        return torch.tensor([[0.4, 0.1, -0.3], [0.0, 0.5, 0.2], [-0.2, 0.3, 0.1]])


def depends_on_counts(loss: Loss) -> bool:
    """Whether a loss of fixed logits differs where the class counts are turned round."""
    counts = torch.tensor(COUNTS)
    images = torch.zeros(3, 3, 4, 4)
    labels = torch.tensor([0, 1, 2])

    def value(counts: Tensor, progress: float) -> float:
        network: Any = _FixedLogits()
        return float(loss(network, images, labels, counts, progress))

    return any(value(counts, share) != value(counts.flip(0), share) for share in PROGRESS)


def check_prior(loss: Loss) -> None:
    """Raises UserError where a loss says that it corrects the prior, without counts."""
    if getattr(loss, "corrects_prior", False) and not depends_on_counts(loss):
        raise UserError(
            f"loss {type(loss).__name__} says that it corrects the prior (corrects_prior = True)"
            " and is the same whatever the counts of the classes; let it use `counts`, or take the"
            " attribute out, so that predictions are adjusted after training"
        )
