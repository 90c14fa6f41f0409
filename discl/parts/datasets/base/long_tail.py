"""Long tails and cuts that only names decide: the same photos on every machine, in whatever order
they are listed.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints


def long_tail(largest: int, smallest: int, classes: int) -> list[int]:
    """Photos a class, exponentially from `largest` down to `smallest` (Cao et al. 2019)."""
    ratio = smallest / largest
    return [
        int(largest * ratio ** (label / max(1, classes - 1)) + 1e-9) for label in range(classes)
    ]


def thinned(
    refs: NDArray[np.str_], labels: Ints, classes: int, largest: int, smallest: int
) -> Ints:
    """Places of the photos that a long tail keeps: the class with most photos is its head.

    A class that has fewer keeps them all.
    """
    counts = np.bincount(labels, minlength=classes)
    order = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]
    kept = [
        _by_hash(refs, labels, label)[:most]
        for label, most in zip(order, long_tail(largest, smallest, len(order)), strict=True)
    ]
    return np.sort(np.concatenate(kept))


def cut(refs: NDArray[np.str_], labels: Ints, share: float) -> NDArray[np.bool_]:
    """Which photos to set aside: `share` of each class, at least one where it has three or more,
    chosen by the hash of their names.
    """
    aside = np.zeros(len(refs), bool)
    for label in np.unique(labels).tolist():
        mine = _by_hash(refs, labels, label)
        most = len(mine) - 2 if len(mine) > 2 else len(mine) - 1
        aside[mine[: min(most, math.ceil(share * len(mine)))]] = True
    return aside


def _by_hash(refs: NDArray[np.str_], labels: Ints, label: int) -> Ints:
    mine = np.flatnonzero(labels == label)
    return mine[
        np.argsort([hashlib.sha256(ref.encode()).hexdigest() for ref in refs[mine].tolist()])
    ]
