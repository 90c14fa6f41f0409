"""How large a part of an epoch the hard photos and their images are, counted by class or photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints
from discl.engine.training.sampler import SamplerView


def tail_shares(
    view: SamplerView, classes: int, share: float | str, weighting: str, synthetic_per_real: float
) -> float | dict[int, float]:
    """`Targets.tail_share` of a training split.

    `share` is a number, or what it is counted by: "classes" or "photos". `weighting` is what it is
    split by over the classes: one of the same two, or "images", where it is not split. Counted by
    photos, it is the share of the hard photos with `synthetic_per_real` synthetic images of each,
    among all images; so it is for "union" too, which has no share of its own.
    """
    hard = np.bincount(view.labels[view.hard], minlength=classes)
    photos = np.bincount(view.labels, minlength=classes)
    if not isinstance(share, float):
        share = _SHARES[share](hard, photos, synthetic_per_real)
    if weighting not in _WEIGHTS:
        return share
    weights = _WEIGHTS[weighting](hard, photos)[hard > 0]
    if len(set(weights.tolist())) <= 1:
        return share
    shares = (share * weights / weights.sum()).tolist()
    return dict(zip(np.flatnonzero(hard).tolist(), shares, strict=True))


def _share_of_classes(hard: Ints, photos: Ints, synthetic_per_real: float) -> float:
    return float(_by_classes(hard, photos).sum()) / len(hard)


def _share_of_photos(hard: Ints, photos: Ints, synthetic_per_real: float) -> float:
    tail = float(hard.sum()) * (1 + synthetic_per_real)
    return tail / (tail + float((photos - hard).sum()))


def _by_classes(hard: Ints, photos: Ints) -> NDArray[np.float64]:
    """1 for a class that is hard as a whole, as under the tail rule."""
    return hard / np.maximum(photos, 1)


def _by_photos(hard: Ints, photos: Ints) -> NDArray[np.float64]:
    return hard.astype(np.float64)


_SHARES = {"classes": _share_of_classes, "photos": _share_of_photos, "union": _share_of_photos}
_WEIGHTS = {"classes": _by_classes, "photos": _by_photos}
