"""Cuts of rows into two parts that keep what belongs together and the shares of classes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints

_PASSES = 3  # over the units; a later one fills what an earlier one made room for


def hashes_of(names: Iterable[str]) -> NDArray[np.bytes_]:
    """SHA-256 of names [n], as bytes that sort like its hex digits."""
    hashes = [hashlib.sha256(str(name).encode()).hexdigest() for name in names]
    return np.array(hashes, "S64")


def units_of(together: Iterable[Ints]) -> Ints:
    """The number of the unit of each row, [n], from 0.

    Rows are of one unit where any of the columns `together` [n] has one number in both; -1 binds
    nothing.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    columns = list(together)
    count = len(columns[0])
    rows = []
    nodes = []
    first_node = count
    for column in columns:
        bound = np.flatnonzero(column >= 0)
        rows.append(bound)
        nodes.append(first_node + column[bound])
        first_node += int(column.max(initial=-1)) + 1
    row, node = np.concatenate(rows), np.concatenate(nodes)
    edges = coo_matrix((np.ones(len(row), np.int8), (row, node)), (first_node, first_node))
    _, labels = connected_components(edges, directed=False)
    _, units = np.unique(labels[:count], return_inverse=True)
    return np.asarray(units, np.int64)


def cut_units(
    refs: NDArray[np.str_] | NDArray[np.object_], labels: Ints, units: Ints, share: float
) -> NDArray[np.bool_]:
    """The mask [n] of rows to set aside: `share` of each class, whole units by hash of names.

    Rare classes come first. A unit is taken where that brings the parts of its classes nearer to
    their shares in sum, and the best one for a class that would have none. Of a class no part is
    more than its share and its largest unit, and never all.
    """
    counts = np.bincount(labels)
    hashes = hashes_of(refs.tolist())
    order = np.argsort(hashes, kind="stable")
    # units are numbered in the order of the least hash of their rows
    _, first, dense = np.unique(units[order], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    numbered = np.empty(len(units), np.int64)
    numbered[order] = rank[dense]
    key, sizes = np.unique(numbered * len(counts) + labels, return_counts=True)
    taken = _Cut(counts, share, key // len(counts), key % len(counts), sizes).taken()
    return taken[numbered]


class _Cut:
    """The choice of units, from (unit, class, photos) of each class in a unit, sorted by unit."""

    def __init__(
        self, counts: Ints, share: float, unit_of: Ints, class_of: Ints, sizes: Ints
    ) -> None:
        room = np.where(counts > 2, counts - 2, counts - 1)
        target = np.minimum(np.ceil(share * counts - 1e-9), room)
        largest = np.zeros(len(counts), np.int64)
        np.maximum.at(largest, class_of, sizes)
        self.order = [c for c in np.argsort(counts, kind="stable").tolist() if counts[c]]
        self.target = target.tolist()
        self.most = np.minimum(room, target + largest).tolist()
        self.weight = (1 / np.maximum(1, counts)).tolist()
        self.got = [0] * len(counts)
        units = int(unit_of.max(initial=-1)) + 1
        self.starts = np.searchsorted(unit_of, np.arange(units + 1)).tolist()
        self.parts = list(zip(class_of.tolist(), sizes.tolist(), strict=True))
        by_class = unit_of[np.argsort(class_of, kind="stable")]
        self.members = np.split(by_class, np.cumsum(np.bincount(class_of, minlength=len(counts))))
        self.is_taken = np.zeros(units, bool)

    def taken(self) -> NDArray[np.bool_]:
        """Which units are set aside."""
        for _ in range(_PASSES):
            before = list(self.got)
            for label in self.order:
                self._fill(label)
            if self.got == before:
                break
        for label in self.order:
            if self.target[label] and not self.got[label]:
                gains = {unit: self._gain(unit) for unit in self.members[label].tolist()}
                best = max(gains, key=lambda unit: gains[unit])  # the first of equal ones
                if gains[best] > -math.inf:
                    self._take(best)
        return self.is_taken

    def _fill(self, label: int) -> None:
        for unit in self.members[label].tolist():
            if self.got[label] >= self.target[label]:
                return
            if not self.is_taken[unit] and self._gain(unit) > 1e-12:
                self._take(unit)

    def _gain(self, unit: int) -> float:
        """How much nearer the parts come to their shares; -inf where one becomes too large."""
        gain = 0.0
        for label, size in self.parts[self.starts[unit] : self.starts[unit + 1]]:
            after = self.got[label] + size
            if after > self.most[label]:
                return -math.inf
            before = abs(self.got[label] - self.target[label])
            gain += self.weight[label] * (before - abs(after - self.target[label]))
        return gain

    def _take(self, unit: int) -> None:
        self.is_taken[unit] = True
        for label, size in self.parts[self.starts[unit] : self.starts[unit + 1]]:
            self.got[label] += size


def shortfalls(labels: Ints, units: Ints, taken: NDArray[np.bool_], share: float) -> list[int]:
    """Classes of which nothing is set aside although their share is a photo or more."""
    counts = np.bincount(labels)
    got = np.bincount(labels[taken], minlength=len(counts))
    return np.flatnonzero((counts > 0) & (got == 0) & (counts * share >= 1)).tolist()
