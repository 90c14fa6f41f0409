"""Selects the hard training photos by the hard rule it is handed, and what out-of-fold predictions
are made of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError, unknown
from discl.core.interfaces import Floats, FoldPredictions, HardRule, Ints, TrainingPhotos
from discl.engine.softmax import softmax_at

Mask = NDArray[np.bool_]
_Answer = TypeVar("_Answer")


def training_photos(
    ids: NDArray[np.str_],
    labels: Ints,
    classes: Sequence[str],
    rule: HardRule,
    counts: Ints | None = None,
) -> TrainingPhotos:
    """The photos `ids` [n] with `labels` [n], as `rule` is given them.

    `counts` [c] are the published photos of each class, where there are more than these.

    Raises UserError where the rule excludes a class there is not, or every photo.
    """
    for name in rule.exclude:
        if name not in classes:
            raise unknown("class (hard_rule.exclude)", name, classes)
    excluded = [label for label, name in enumerate(classes) if name in rule.exclude]
    allowed = ~np.isin(labels, excluded)
    if not allowed.any():
        raise UserError(
            f"hard_rule.exclude = {list(rule.exclude)} leaves no photo to choose from; name fewer"
            " classes"
        )
    if counts is None:
        counts = np.bincount(labels, minlength=len(classes))
    return TrainingPhotos(ids, labels, counts, tuple(classes), allowed)


def expected(name: str, rule: HardRule, photos: TrainingPhotos) -> int | None:
    """How many photos the rule called `name` will select; None = only predictions can tell.

    Raises UserError where the rule fails.
    """
    return _asked(name, lambda: rule.expected(photos))


def select(
    name: str, rule: HardRule, photos: TrainingPhotos, predictions: FoldPredictions | None
) -> Mask:
    """[n], whether each training photo is hard, by the rule called `name`.

    Raises UserError where the rule fails, or does not answer with a truth value for each photo.
    """
    hard = _asked(name, lambda: rule.select(photos, predictions))
    expected_shape = (len(photos.ids),)
    if not (isinstance(hard, np.ndarray) and hard.dtype == bool and hard.shape == expected_shape):
        raise UserError(
            f"the hard rule {name!r} answers with {_described(hard)}; `select` has to return a"
            f" boolean array of shape {expected_shape}, one value a training photo"
        )
    if (hard & ~photos.allowed).any():
        raise UserError(
            f"the hard rule {name!r} selects photos of classes in its `exclude`; `select` has to"
            " leave out the photos that are not `photos.allowed`"
        )
    return hard


def _asked(name: str, ask: Callable[[], _Answer]) -> _Answer:
    """The answer of a rule, whose code may be of another package."""
    try:
        return ask()
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the hard rule {name!r} failed ({type(error).__name__}: {error}); fix it, or set"
            " hard_rule.name to another rule"
        ) from error


def _described(answer: Any) -> str:
    if isinstance(answer, np.ndarray):
        return f"an array of {answer.dtype} of shape {answer.shape}"
    return f"a {type(answer).__name__}"


def assign_folds(ids: NDArray[np.str_], labels: Ints, folds: int, seed: int) -> Ints:
    """[n], a fold for each photo `ids` [n] with `labels` [n].

    Each class is spread evenly over the folds, in an order that only `seed` and the ids decide. A
    class goes on where the one before stopped, so that the single photos of small classes do not
    all lie in the first fold.
    """
    order = np.array(
        [hashlib.sha256(f"{seed} {name}".encode()).digest()[:8] for name in ids.tolist()]
    )
    fold = np.empty(len(ids), np.int64)
    fold[np.lexsort((order, labels))] = np.arange(len(ids)) % folds
    return fold


def in_one_fold(labels: Ints, fold: Ints) -> Mask:
    """[n], True for photos of classes that lie in one fold: their model has never seen the class.

    `labels` [n] and `fold` [n] are those of the training photos.
    """
    folds = int(fold.max(initial=0)) + 1
    present = np.zeros((int(labels.max(initial=0)) + 1, folds), bool)
    present[labels, fold] = True
    return np.asarray(present.sum(1)[labels] == 1)


def true_class_probability(logits: Floats, labels: Ints) -> Floats:
    """[n], the softmax of `logits` [n, c] at the true `labels` [n]."""
    return softmax_at(logits, labels).astype(np.float32)


def quantiles(values: Any) -> dict[str, float]:
    """Quantiles of `values` [n] by name, rounded to 6 digits; empty where there are no values."""
    marks = {
        "lowest": 0.0,
        "q05": 0.05,
        "q25": 0.25,
        "median": 0.5,
        "q75": 0.75,
        "q95": 0.95,
        "highest": 1.0,
    }
    if not len(values):
        return {}
    return {name: round(float(np.quantile(values, mark)), 6) for name, mark in marks.items()}
