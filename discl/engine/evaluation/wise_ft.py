"""WiSE-FT (Wortsman et al. 2022): weights between those training began with and those it chose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]


def interpolated(first: State, last: State, alpha: float) -> dict[str, Tensor]:
    """(1 - alpha) first + alpha last for tensors [...], on the devices and in the types of `last`.

    Exactly the ends at alpha 0 and 1. BatchNorm's running statistics are interpolated too; whole
    numbers, such as its counter, are those of `last`. Raises ValueError where the states are of
    different networks.
    """
    differing = sorted(first.keys() ^ last.keys())
    if differing:
        raise ValueError(f"the two states are of different networks: only one has {differing[0]!r}")
    return {key: _between(first[key].to(end.device), end, alpha) for key, end in last.items()}


def _between(start: Tensor, end: Tensor, alpha: float) -> Tensor:
    if not end.is_floating_point():
        return end.clone()
    return torch.lerp(start.float(), end.float(), alpha).to(end.dtype)


def wise(
    network: nn.Module,
    first: State,
    chosen: State,
    alphas: Sequence[float],
    score: Callable[[nn.Module], float],
) -> tuple[float, dict[str, Tensor]]:
    """(alpha of the highest score, its weights [...]); `network` then holds these.

    Of equal scores the one nearest to `chosen` wins.
    """
    scores = {}
    for alpha in sorted(set(alphas)):
        network.load_state_dict(interpolated(first, chosen, alpha))
        scores[alpha] = score(network)
    best = max(scores, key=lambda alpha: (scores[alpha], alpha))
    state = interpolated(first, chosen, best)
    network.load_state_dict(state)
    return best, state
