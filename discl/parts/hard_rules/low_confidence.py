"""Photos whose true class gets the least probability from a model that has not seen them.

DisCL selects the hard photos of iWildCam by the confidence of a trained model. Here no model
predicts a photo it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import FoldModels, FoldPredictions, TrainingPhotos


class LowConfidence:
    """The least confident photos, up to a share of all photos or below a probability.

    `fraction`: this share of all training photos, the least confident first; of equals the first by
    id. `threshold`: photos whose true class gets a lower probability. Exactly one of the two is
    given. `folds`, `epochs` and `seed` describe the models, see `FoldModels`.
    """

    version = 1
    not_hashed = ("folds", "epochs", "seed")  # the identity of the models holds them

    def __init__(
        self,
        fraction: float | None = None,
        threshold: float | None = None,
        folds: int = 3,
        epochs: int = 0,
        seed: int = 0,
        exclude: Sequence[str] = (),
    ) -> None:
        """Raises UserError for a value out of range, and unless one of the two is given.

        Settings:

        `fraction`: share of all training photos that is hard, the least confident first.
        `threshold`: a photo whose true class gets a lower probability is hard; instead of
            `fraction`.
        `folds`: models that are trained, each on the photos of the others.
        `epochs`: epochs of each model; 0 is as many as a run has.
        `seed`: seed of the models.
        `exclude`: names of classes of which no photo is hard.
        """
        _check_one_given(fraction, threshold)
        if fraction is not None and not (_is_number(fraction) and 0 < fraction <= 1):
            raise UserError(
                f"hard_rule.fraction = {fraction!r}: takes a share of the training photos, above 0"
                " and at most 1"
            )
        if threshold is not None and not (_is_number(threshold) and 0 < threshold < 1):
            raise UserError(
                f"hard_rule.threshold = {threshold!r}: takes a probability between 0 and 1"
            )
        for name, value, highest in (("folds", folds, 1_000), ("epochs", epochs, 100_000)):
            if value > highest:
                raise UserError(f"hard_rule.{name} = {value}: takes {highest} at most")
        for name, value, lowest in (("folds", folds, 2), ("epochs", epochs, 0), ("seed", seed, 0)):
            if value < lowest:
                raise UserError(
                    f"hard_rule.{name} = {value}: takes a whole number from {lowest} up"
                )
        self.fraction = fraction
        self.threshold = threshold
        self.models = FoldModels(folds, epochs, seed)
        self.exclude = exclude

    def expected(self, photos: TrainingPhotos) -> int | None:
        """The number that `fraction` asks for; None with `threshold`."""
        return None if self.fraction is None else _photos_of(self.fraction, photos.allowed)

    def select(
        self, photos: TrainingPhotos, predictions: FoldPredictions | None
    ) -> NDArray[np.bool_]:
        """[n], whether each photo is hard.

        Raises UserError where `fraction` or `threshold` selects nothing, or `threshold` everything.
        """
        if predictions is None:
            raise UserError("the hard rule 'low_confidence' needs out-of-fold predictions")
        if self.threshold is not None:
            return _below(self.threshold, predictions, photos.allowed)
        count = _photos_of(self.fraction or 0.0, photos.allowed)
        order = np.lexsort((photos.ids, predictions.probability, ~photos.allowed))
        hard = np.zeros(len(photos.ids), bool)
        hard[order[:count]] = True
        return hard


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_one_given(fraction: object, threshold: object) -> None:
    if fraction is None and threshold is None:
        raise UserError(
            "the hard rule 'low_confidence' needs hard_rule.fraction (a share of the photos) or"
            " hard_rule.threshold (a probability)"
        )
    if fraction is not None and threshold is not None:
        raise UserError(
            f"hard_rule.fraction = {fraction} and hard_rule.threshold = {threshold} exclude each"
            " other; set the whole table with one of them, e.g."
            " --set 'hard_rule={name=\"low_confidence\", fraction=0.05}'"
        )


def _photos_of(fraction: float, allowed: NDArray[np.bool_]) -> int:
    """How many photos `fraction` of all of them is, where only those `allowed` [n] may be hard."""
    photos = len(allowed)
    count = round(fraction * photos)
    possible = int(allowed.sum())
    if not count:
        raise UserError(
            f"hard_rule.fraction = {fraction:g} of {photos:,} photos selects none; raise it"
        )
    if count > possible:
        largest = int(possible / photos * 1e4) / 1e4
        raise UserError(
            f"hard_rule.fraction = {fraction:g} of {photos:,} photos is {count:,}, and"
            f" hard_rule.exclude leaves {possible:,}; take {largest:g} at most"
        )
    return count


def _below(
    threshold: float, predictions: FoldPredictions, allowed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """[n], the allowed photos whose true class gets a probability below `threshold`."""
    hard = allowed & (predictions.probability < threshold)
    if hard.any() and not (hard == allowed).all():
        return np.asarray(hard)
    possible = predictions.probability[allowed]
    raise UserError(
        f"hard_rule.threshold = {threshold:g} chooses {'every' if hard.any() else 'no'} photo: the"
        f" probabilities run from {possible.min():.3g} to {possible.max():.3g}, half of them below"
        f" {np.median(possible):.3g}"
    )
