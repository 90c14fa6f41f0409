"""Long tails and cuts that depend only on names, so that every machine chooses the same photos."""

from __future__ import annotations

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints


def long_tail(largest: int, smallest: int, classes: int) -> list[int]:
    """Photos per class, exponentially from `largest` to `smallest` (Cao et al. 2019)."""
    ratio = smallest / largest
    return [
        int(largest * ratio ** (label / max(1, classes - 1)) + 1e-9) for label in range(classes)
    ]


def thinned(
    refs: NDArray[np.str_], labels: Ints, classes: int, largest: int, smallest: int
) -> Ints:
    """Rows of the photos that a long tail keeps, of `refs` [n] and `labels` [n].

    The class with most photos is the head. A class with fewer photos than its share keeps all.
    """
    counts = np.bincount(labels, minlength=classes)
    order = [int(label) for label in np.argsort(-counts, kind="stable") if counts[label]]
    kept = [
        _by_hash(refs, labels, label)[:most]
        for label, most in zip(order, long_tail(largest, smallest, len(order)), strict=True)
    ]
    return np.sort(np.concatenate(kept))


def cut(refs: NDArray[np.str_], labels: Ints, share: float) -> NDArray[np.bool_]:
    """The mask [n] of photos to set aside: `share` of each class, by the hash of their names.

    At least one of each class that has three or more, and never all.
    """
    aside = np.zeros(len(refs), bool)
    for label in np.unique(labels).tolist():
        rows = _by_hash(refs, labels, label)
        most = len(rows) - 2 if len(rows) > 2 else len(rows) - 1
        aside[rows[: min(most, math.ceil(share * len(rows)))]] = True
    return aside


def _by_hash(refs: NDArray[np.str_], labels: Ints, label: int) -> Ints:
    """Rows of a class, sorted by the hash of their names."""
    rows = np.flatnonzero(labels == label)
    hashes = [hashlib.sha256(ref.encode()).hexdigest() for ref in refs[rows].tolist()]
    return rows[np.argsort(hashes)]
