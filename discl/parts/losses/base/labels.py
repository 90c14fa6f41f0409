"""Labels as shares of each class, as mixed images have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def shares(labels: Tensor, classes: int) -> Tensor:
    """float [b, c], each row summing to 1, of labels [b] or [b, c]."""
    from torch.nn.functional import one_hot

    return one_hot(labels, classes).float() if labels.ndim == 1 else labels
