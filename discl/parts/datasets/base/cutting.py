"""Cuts of rows into two parts that keep what belongs together and the shares of classes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints

_FAR = 1.5  # times too many or too few photos
_FEW_PHOTOS = 5
_PASSES = 3  # over the units; a later one fills what an earlier one made room for


Hashes = NDArray[np.uint64]


def hashes_of(names: Iterable[str | bytes]) -> Hashes:
    """The first 64 bits of SHA-256 of names [n], which sort like its hex digits."""
    sha256 = hashlib.sha256
    digests = [
        sha256(name if isinstance(name, bytes) else name.encode()).digest()[:8] for name in names
    ]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def units_of(together: Iterable[Ints]) -> Ints:
    """The number of the unit of each row, [n], from 0.

    Rows are of one unit where any of the columns `together` [n] has one number in both; -1 binds
    nothing.
    """
    columns = [_shared(column) for column in together]
    count = len(columns[0])
    binding = [column for column in columns if (column >= 0).any()]
    if len(binding) < 2:
        units = np.array(binding[0]) if binding else np.full(count, -1)
        alone = units < 0
        units[alone] = int(units.max(initial=-1)) + 1 + np.arange(int(alone.sum()))
        return _dense(units)
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows = []
    nodes = []
    first_node = count
    for column in binding:
        bound = np.flatnonzero(column >= 0)
        rows.append(bound)
        nodes.append(first_node + column[bound])
        first_node += int(column.max()) + 1
    row, node = np.concatenate(rows), np.concatenate(nodes)
    edges = coo_matrix((np.ones(len(row), np.int8), (row, node)), (first_node, first_node))
    _, labels = connected_components(edges, directed=False)
    return _dense(labels[:count].astype(np.int64))


def _shared(column: Ints) -> Ints:
    """Numbers [n] that several rows have, and -1."""
    counts = np.bincount(column + 1)
    return np.where(counts[column + 1] > 1, column, -1)


def _dense(numbers: Ints) -> Ints:
    """The same numbers from 0 without gaps, in their order."""
    present = np.zeros(int(numbers.max(initial=-1)) + 1, bool)
    present[numbers] = True
    return (np.cumsum(present) - 1)[numbers]


def cut_units(hashes: Hashes, labels: Ints, units: Ints, share: float) -> NDArray[np.bool_]:
    """The mask [n] of rows to set aside: `share` of each class, whole units by their hashes [n].

    Rare classes come first. A unit is taken where that brings the parts of its classes nearer to
    their shares (in squares, summed), and the best one for a class that would have none. Of a class
    no part is more than its share and its largest unit, and never all.
    """
    counts = np.bincount(labels)
    if not len(counts):
        return np.zeros(0, bool)
    # units are numbered in the order of the least hash of their rows
    order = np.argsort(hashes, kind="stable")
    numbered = _dense(units)
    first = np.empty(int(numbered.max()) + 1, np.int64)
    first[numbered[order[::-1]]] = np.arange(len(order))[::-1]  # of equal ones the last is kept
    rank = np.empty_like(first)
    rank[np.argsort(first)] = np.arange(len(first))
    numbered = rank[numbered]
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
        by_class = np.argsort(class_of, kind="stable")
        ends = np.cumsum(np.bincount(class_of, minlength=len(counts)))
        self.members = np.split(unit_of[by_class], ends)
        self.sizes = np.split(sizes[by_class], ends)
        self.is_taken = np.zeros(units, bool)

    def taken(self) -> NDArray[np.bool_]:
        """Which units are set aside."""
        for _ in range(_PASSES):
            before = list(self.got)
            for label in self.order:
                self._fill(label)
            self._trim()
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
        """Take units of a class that bring its part, and those of all classes, nearer."""
        small = self.sizes[label] < 2 * (self.target[label] - self.got[label])
        members, sizes = self.members[label][small], self.sizes[label][small]
        for unit, size in zip(members.tolist(), sizes.tolist(), strict=True):
            if size >= 2 * (self.target[label] - self.got[label]):
                continue
            if not self.is_taken[unit] and self._gain(unit) > 0:
                self._take(unit)

    def _trim(self) -> None:
        """Put back units without which the parts of all classes are nearer, and none is empty."""
        for unit in np.flatnonzero(self.is_taken)[::-1].tolist():
            parts = self.parts[self.starts[unit] : self.starts[unit + 1]]
            if any(self.got[label] == size for label, size in parts):
                continue
            self._take(unit, -1)
            if self._gain(unit) >= 0:
                self._take(unit)

    def _gain(self, unit: int) -> float:
        """How much nearer the parts come to their shares; -inf where one becomes too large."""
        gain = 0.0
        for label, size in self.parts[self.starts[unit] : self.starts[unit + 1]]:
            after = self.got[label] + size
            if after > self.most[label]:
                return -math.inf
            before = self.weight[label] * (self.got[label] - self.target[label])
            gain += before**2 - (self.weight[label] * (after - self.target[label])) ** 2
        return gain

    def _take(self, unit: int, sign: int = 1) -> None:
        self.is_taken[unit] = sign > 0
        for label, size in self.parts[self.starts[unit] : self.starts[unit + 1]]:
            self.got[label] += sign * size


def is_far(got: int, wanted: float) -> bool:
    """Whether a part has over half as many photos again as was wanted, or under two thirds.

    A few photos more or less are never far.
    """
    off = abs(got - wanted) >= _FEW_PHOTOS
    return off and not wanted / _FAR <= got <= wanted * _FAR


def shortfalls(labels: Ints, taken: NDArray[np.bool_], share: float) -> list[int]:
    """Classes of which nothing is set aside although their share is a photo or more.

    `labels` [n], `taken` [n].
    """
    counts = np.bincount(labels)
    got = np.bincount(labels[taken], minlength=len(counts))
    return np.flatnonzero((counts > 0) & (got == 0) & (counts * share >= 1)).tolist()
