"""The distance between images and photos of one class, in the features of a scorer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Floats, Ints

MOST = 1_000  # vectors of a class on each side
LEAST_SOURCES = 3  # of which one can be left out, and there is still a pair


class Distance(NamedTuple):
    """A squared maximum mean discrepancy; the error is None where it cannot be told."""

    value: float
    error: float | None


def class_distance(images: Floats, sources: Ints, photos: Floats) -> Distance | None:
    """Unbiased squared MMD of unit vectors [n, d] and [m, d] of one class (Gretton et al. 2012).

    The kernel is that of KID (Binkowski et al. 2018), a polynomial of third degree, here on
    cosines: (1 + cosine)^3. Images made from one photo are alike, so pairs with the same of
    `sources` [n] are left out, and the standard error is that of a jackknife over sources and over
    photos. None where there is no pair. Can be below 0.
    """
    images, sources, photos = images[:MOST], sources[:MOST], photos[:MOST]
    groups, index = np.unique(sources, return_inverse=True)
    if len(groups) < 2 or len(photos) < 2:
        return None
    member = np.eye(len(groups))[index]  # [n, g]
    sizes = member.sum(0)
    within_images = member.T @ _kernel(images, images) @ member  # [g, g]
    within_photos = _kernel(photos, photos)
    across = member.T @ _kernel(images, photos)  # [g, m]
    value = (
        _pairs(within_images, sizes)
        + _pairs(within_photos, np.ones(len(photos)))
        - 2 * across.sum() / (len(images) * len(photos))
    )
    if len(groups) < LEAST_SOURCES or len(photos) < LEAST_SOURCES:
        return Distance(float(value), None)
    variance = _jackknife(within_images, sizes, across)
    variance += _jackknife(within_photos, np.ones(len(photos)), across.T, sizes)
    return Distance(float(value), float(np.sqrt(variance)))


def mean_distance(distances: Sequence[Distance]) -> Distance | None:
    """The mean over classes; the error is None unless every class has one."""
    if not distances:
        return None
    errors = [each.error for each in distances]
    value = float(np.mean([each.value for each in distances]))
    if any(error is None for error in errors):
        return Distance(value, None)
    return Distance(value, float(np.sqrt(np.sum(np.square(np.array(errors, float))))) / len(errors))


def _kernel(left: Floats, right: Floats) -> NDArray[np.float64]:
    return (1 + left.astype(np.float64) @ right.astype(np.float64).T) ** 3


def _pairs(sums: NDArray[Any], sizes: NDArray[Any]) -> float:
    """Mean kernel over pairs of different groups, from the sums [g, g] over pairs of groups."""
    total = sums.sum() - np.trace(sums)
    return float(total / (sizes.sum() ** 2 - (sizes**2).sum()))


def _jackknife(
    sums: NDArray[Any],
    sizes: NDArray[Any],
    across: NDArray[Any],
    other_sizes: NDArray[Any] | None = None,
) -> float:
    """Variance of the distance from the choice of the groups that `sums` [g, g] are of.

    `across` [g, h] are the sums of the kernel with the other side.
    """
    others = across.shape[1] if other_sizes is None else other_sizes.sum()
    total = sums.sum() - np.trace(sums) - 2 * (sums.sum(1) - np.diag(sums))
    pairs = (sizes.sum() - sizes) ** 2 - ((sizes**2).sum() - sizes**2)
    crossed = (across.sum() - across.sum(1)) / ((sizes.sum() - sizes) * others)
    without = total / pairs - 2 * crossed  # what the other side adds is the same in all
    count = len(sizes)
    return float((count - 1) / count * np.square(without - without.mean()).sum())
