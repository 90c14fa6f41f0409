"""Cross-entropy with smoothed labels (Szegedy et al. 2016)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # `discl list` imports this file: torch is loaded when the loss is first used
    from torch import Tensor


class Smooth:
    """Cross-entropy with smoothed labels (Szegedy et al. 2016)."""

    version = 1

    def __init__(self, smoothing: float = 0.1) -> None:
        self.smoothing = smoothing

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        """Mean loss [] of images [b, 3, h, w] with labels [b]."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(network(images), labels, label_smoothing=self.smoothing)
