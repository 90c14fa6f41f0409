"""Photos that look alike: found by a small picture of each, however they are encoded or scaled."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints
from discl.files.photos import CELLS

_LEAST_CONTRAST = 6.0  # standard deviation of its cells, of 255; plain photos all look alike
_LEAST_CORRELATION = 0.985  # of the cells of two that look alike
_MOST_DIFFERENCE = 14.0  # of 255, of any cell, once brightness and contrast are matched
_BANDS = 4  # of 16 bits; two hashes that differ in 3 bits or fewer are equal in one of them
_MOST_BITS = 10  # of 64, in which the hashes of two that look alike differ
_BLOCK = 1 << 21  # pairs that are compared at a time
_MOST_IN_BUCKET = 4096  # photos with one band; of more, only those with an equal hash are compared


def alike(small: NDArray[np.uint8], others: NDArray[np.uint8]) -> Ints:
    """[n] for each small picture [n, 256] the first of `others` [m, 256] it looks like, or -1.

    A picture looks like another one in another format, size, quality or exposure; one in which
    something has moved does not. A plain one looks like none.
    """
    found = np.full(len(small), -1, np.int64)
    mine = np.flatnonzero(_std(small) >= _LEAST_CONTRAST)
    theirs = np.flatnonzero(_std(others) >= _LEAST_CONTRAST)
    if not len(mine) or not len(theirs):
        return found
    my_hashes = _hashes(small[mine])
    their_hashes = _hashes(others[theirs])
    for one, other in _candidates(my_hashes, their_hashes):
        differing = np.bitwise_count(my_hashes[one] ^ their_hashes[other])
        near = differing <= _MOST_BITS
        one, other = mine[one[near]], theirs[other[near]]
        same = _same(small[one], others[other])
        order = np.argsort(-other[same], kind="stable")  # so that the first one is written last
        rows, matches = one[same][order], other[same][order]
        better = (found[rows] < 0) | (matches < found[rows])
        found[rows[better]] = matches[better]
    return found


def _std(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    deviation: NDArray[np.float32] = small.std(axis=1, dtype=np.float32)
    return deviation


def _hashes(small: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The signs of 64 low frequencies against their median, [n] (the idea is pHash's)."""
    wave = np.cos(np.pi / CELLS * (np.arange(CELLS) + 0.5) * np.arange(9)[:, None])
    hashes = np.zeros(len(small), np.uint64)
    for start in range(0, len(small), 1 << 16):
        cells = small[start : start + (1 << 16)].reshape(-1, CELLS, CELLS).astype(np.float32)
        waves = (wave @ cells @ wave.T).reshape(len(cells), -1)[:, 1:65]  # without the mean
        bits = waves > np.median(waves, axis=1, keepdims=True)
        packed = np.packbits(bits, axis=1).view(np.uint64).reshape(-1)
        hashes[start : start + len(cells)] = packed
    return hashes


def _candidates(
    mine: NDArray[np.uint64], theirs: NDArray[np.uint64]
) -> Iterator[tuple[Ints, Ints]]:
    """Pairs (rows of `mine`, rows of `theirs`) whose hashes have a band in common."""
    for band in range(_BANDS):
        shift = np.uint64(16 * band)
        my_keys = (mine >> shift).astype(np.uint16)
        their_keys = (theirs >> shift).astype(np.uint16)
        crowded = np.bincount(their_keys, minlength=1 << 16) > _MOST_IN_BUCKET
        apart_mine, apart_theirs = crowded[my_keys], crowded[their_keys]
        yield from _joined(my_keys, their_keys, ~apart_mine, ~apart_theirs)
        yield from _joined(mine, theirs, apart_mine, apart_theirs)


def _joined(
    mine: NDArray[np.unsignedinteger],
    theirs: NDArray[np.unsignedinteger],
    of_mine: NDArray[np.bool_],
    of_theirs: NDArray[np.bool_],
) -> Iterator[tuple[Ints, Ints]]:
    """Pairs of rows with equal keys, `_BLOCK` at a time."""
    my_rows = np.flatnonzero(of_mine)
    their_rows = np.flatnonzero(of_theirs)
    their_rows = their_rows[np.argsort(theirs[their_rows], kind="stable")]
    keys = theirs[their_rows]
    first = np.searchsorted(keys, mine[my_rows], "left")
    counts = np.searchsorted(keys, mine[my_rows], "right") - first
    ends = np.cumsum(counts)
    start = 0
    while start < len(my_rows):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _BLOCK, "right")))
        many = counts[start:stop]
        total = int(many.sum())
        if total:
            within = np.arange(total) - np.repeat(np.cumsum(many) - many, many)
            yield (
                np.repeat(my_rows[start:stop], many),
                their_rows[np.repeat(first[start:stop], many) + within],
            )
        start = stop


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether each of two small pictures [k, 256] shows the same."""
    same = np.zeros(len(one), bool)
    for start in range(0, len(one), 1 << 14):
        part = slice(start, start + (1 << 14))
        a = one[part].astype(np.float32)
        b = other[part].astype(np.float32)
        a -= a.mean(1, keepdims=True)
        b -= b.mean(1, keepdims=True)
        scale_a = a.std(1, keepdims=True)
        scale_b = b.std(1, keepdims=True)
        correlation = (a * b).mean(1) / (scale_a * scale_b)[:, 0]
        difference = np.abs(a * (scale_b / scale_a) - b).max(1)
        same[part] = (correlation >= _LEAST_CORRELATION) & (difference <= _MOST_DIFFERENCE)
    return same
