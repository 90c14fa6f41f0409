"""Weights of classes by their number of photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def inverse_effective_number(counts: Tensor, beta: float) -> Tensor:
    """[c], with mean 1: (1 - beta) / (1 - beta ** count) of counts [c] (Cui et al. 2019).

    A class without a photo weighs as one with a single photo. `beta` 0 weighs all alike.
    """
    # in float32, 0.9999 ** 1 loses four digits
    weights = (1 - beta) / (1 - beta ** counts.clamp(min=1).double())
    return (weights / weights.mean()).to(counts.dtype)
