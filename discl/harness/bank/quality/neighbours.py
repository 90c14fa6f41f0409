"""Nearest neighbours and spread of unit vectors, without a table of all pairs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Floats, Ints
from discl.harness.bank.quality import blocks as block_size
from discl.harness.bank.quality.blocks import blocks


class Nearest(NamedTuple):
    """The nearest key of each query."""

    cosine: Floats  # [n], -1 .. 1
    row: Ints  # [n], among the keys


def nearest(queries: Floats, keys: Floats) -> Nearest:
    """For each query [n, d] the key [m, d] with the highest cosine, the first of equals.

    Both are unit vectors.
    """
    cosine = np.full(len(queries), -np.inf, np.float32)
    row = np.full(len(queries), -1)
    side = int(block_size.BLOCK**0.5)
    for query_rows in blocks(len(queries), side):
        query_block = np.asarray(queries[query_rows])
        for key_rows in blocks(len(keys), side):
            cosines = query_block @ np.asarray(keys[key_rows]).T
            first = cosines.argmax(1)
            highest = cosines[np.arange(len(cosines)), first]
            better = highest > cosine[query_rows]
            cosine[query_rows][better] = highest[better]
            row[query_rows][better] = first[better] + key_rows.start
    return Nearest(cosine, row)


def nearest_is_own(vectors: Floats, anchors: Floats, own: Ints) -> NDArray[np.bool_]:
    """Whether no anchor of [c, d] lies nearer to each of vectors [n, d] than its own, a row [n].

    Classes of one name have equal anchors, and share them.
    """
    right = np.empty(len(vectors), bool)
    for part in blocks(len(vectors), len(anchors)):
        cosine = vectors[part] @ anchors.T
        right[part] = cosine[np.arange(len(cosine)), own[part]] >= cosine.max(1) - 1e-6
    return right


def spread(vectors: Floats) -> float | None:
    """Mean of 1 - cosine over all pairs of unit vectors [n, d]; None for fewer than two."""
    count = len(vectors)
    if count < 2:
        return None
    total = vectors.sum(0, dtype=np.float64)
    # the square of the sum is the sum of all cosines
    cosines = total @ total - np.square(vectors, dtype=np.float64).sum()
    return float(1 - cosines / (count * (count - 1)))
