"""Probabilities from logits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Floats, Ints


def softmax_at(logits: Any, labels: Ints | Floats) -> NDArray[np.float64]:
    """Probabilities [n] in [0, 1]: the softmax of logits [n, c] at one label each, of [n].

    Of soft labels [n, c] it is that of each class times the class's share.
    """
    shifted = logits.astype(np.float64)
    exponentials = np.exp(shifted - shifted.max(1, keepdims=True))
    if labels.ndim > 1:
        return np.asarray((exponentials * labels).sum(1) / exponentials.sum(1))
    return np.asarray(exponentials[np.arange(len(labels)), labels] / exponentials.sum(1))
