"""Heads that are trained on the features of a frozen trunk."""

from __future__ import annotations

import torch
from torch import nn


def head(features: int, classes: int, hidden: int, seed: int) -> nn.Module:
    """From features [b, d] to logits [b, classes].

    Linear, or with one hidden layer of `hidden` units where that is not 0. Features are
    standardised by BatchNorm without parameters (as in linear probing: He et al. 2022, A.1), so
    that one learning rate fits any trunk.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        standardised = nn.BatchNorm1d(features, affine=False)
        if not hidden:
            return nn.Sequential(standardised, nn.Linear(features, classes))
        return nn.Sequential(
            standardised, nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes)
        )
