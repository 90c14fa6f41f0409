"""Cross-entropy, with optional label smoothing (Szegedy et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class CrossEntropy:
    """`smoothing` of a label's weight is spread evenly over all classes."""

    version = 1
    mean_of_images = True

    def __init__(self, smoothing: float = 0.0) -> None:
        """`smoothing`: share of a label's weight that is spread evenly over all classes."""
        self.smoothing = smoothing

    def __call__(
        self,
        network: Callable[..., Any],
        images: Tensor,
        labels: Tensor,
        counts: Tensor,
        progress: float,
    ) -> Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(network(images), labels, label_smoothing=self.smoothing)
