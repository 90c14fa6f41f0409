"""Hard photos by low confidence: photos are dealt into folds, judged by a model that saw the
others, and the least sure chosen.
"""

from __future__ import annotations

import hashlib
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Floats, Ints

Mask = NDArray[np.bool_]


class Judged(NamedTuple):
    """What a model that has not seen a photo makes of it; a row a training photo."""

    ids: NDArray[np.str_]  # [n]
    labels: Ints  # [n]
    fold: Ints  # [n], the fold the photo lay in; its judge was trained on the others
    probability: Floats  # [n], of the true class
    guess: Ints  # [n], the label the judge would give

    @property
    def strange(self) -> Mask:
        """Photos of classes their judge has never seen: all photos of the class lie in one fold."""
        folds = int(self.fold.max(initial=0)) + 1
        seen = np.zeros((int(self.labels.max(initial=0)) + 1, folds), bool)
        seen[self.labels, self.fold] = True
        return np.asarray(seen.sum(1)[self.labels] == 1)


def deal(ids: NDArray[np.str_], labels: Ints, folds: int, seed: int) -> Ints:
    """A fold for each photo.

    Each class is dealt out evenly, in an order that only `seed` and the photos' ids decide.

    A class goes on where the one before stopped, so that the single photos of small classes do not
    all lie in the first fold.
    """
    chance = np.array(
        [hashlib.sha256(f"{seed} {name}".encode()).digest()[:8] for name in ids.tolist()]
    )
    dealt = np.empty(len(ids), np.int64)
    dealt[np.lexsort((chance, labels))] = np.arange(len(ids)) % folds
    return dealt


def judgement(logits: Floats, labels: Ints) -> tuple[Floats, Ints]:
    """(probability of the true class, guess) of photos with these logits [n, c]."""
    wide = logits.astype(np.float64)
    chances = np.exp(wide - wide.max(1, keepdims=True))
    own = chances[np.arange(len(labels)), labels] / chances.sum(1)
    return own.astype(np.float32), wide.argmax(1)


def share_of(fraction: float, photos: int, allowed: int) -> int:
    """How many photos `fraction` of all of them is, where only `allowed` may be chosen."""
    count = round(fraction * photos)
    if not count:
        raise UserError(
            f"hard.fraction = {fraction:g} of {photos:,} photos is none of them; raise it"
        )
    if count > allowed:
        most = int(allowed / photos * 1e4) / 1e4
        raise UserError(
            f"hard.fraction = {fraction:g} of {photos:,} photos is {count:,}, and hard.exclude"
            f" leaves {allowed:,}; take {most:g} at most"
        )
    return count


def least_sure(judged: Judged, allowed: Mask, fraction: float) -> Mask:
    """The photos, `fraction` of all in number, whose judges are least sure of their class; of
    equals the first by id.
    """
    count = share_of(fraction, len(allowed), int(allowed.sum()))
    order = np.lexsort((judged.ids, judged.probability, ~allowed))
    chosen = np.zeros(len(allowed), bool)
    chosen[order[:count]] = True
    return chosen


def unsure(judged: Judged, allowed: Mask, threshold: float) -> Mask:
    """The photos whose judges give their class less than `threshold`."""
    chosen = allowed & (judged.probability < threshold)
    if chosen.any() and not (chosen == allowed).all():
        return np.asarray(chosen)
    among = judged.probability[allowed]
    spread = (
        f"the probabilities run from {among.min():.3g} to {among.max():.3g}, half of them below"
        f" {np.median(among):.3g}"
    )
    raise UserError(
        f"hard.threshold = {threshold:g} chooses {'every' if chosen.any() else 'no'} photo:"
        f" {spread}"
    )


def quantiles(values: Any) -> dict[str, float]:
    """How probabilities spread."""
    marks = {
        "lowest": 0.0,
        "q05": 0.05,
        "q25": 0.25,
        "median": 0.5,
        "q75": 0.75,
        "q95": 0.95,
        "highest": 1.0,
    }
    return (
        {name: round(float(np.quantile(values, mark)), 6) for name, mark in marks.items()}
        if len(values)
        else {}
    )
