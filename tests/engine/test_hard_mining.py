"""Folds, out-of-fold predictions, and the selection by a rule that may be somebody else's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.core.interfaces import FoldModels, FoldPredictions, TrainingPhotos
from discl.engine.hard_mining import (
    assign_folds,
    expected,
    in_one_fold,
    quantiles,
    select,
    training_photos,
    true_class_probability,
)

LABELS = np.repeat([0, 1, 2, 3, 4], [50, 31, 7, 2, 1])
IDS = np.array([f"photo{i}" for i in range(len(LABELS))])
CLASSES = ("cat", "dog", "bird", "ship", "frog")


def test_every_class_is_dealt_evenly_and_so_is_the_whole() -> None:
    fold = assign_folds(IDS, LABELS, 4, 0)
    for label in range(5):
        counts = np.bincount(fold[label == LABELS], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert sorted(np.bincount(fold)) == [22, 23, 23, 23]


def test_single_photos_of_small_classes_do_not_all_lie_in_one_fold() -> None:
    assert np.bincount(assign_folds(IDS[:20], np.arange(20), 4, 0)).tolist() == [5, 5, 5, 5]


def test_a_fold_depends_on_ids_and_seed_and_not_on_the_order_of_rows() -> None:
    fold = assign_folds(IDS, LABELS, 3, 0)
    order = np.random.default_rng(0).permutation(len(IDS))
    assert np.array_equal(assign_folds(IDS[order], LABELS[order], 3, 0), fold[order])
    assert not np.array_equal(assign_folds(IDS, LABELS, 3, 1), fold)


def test_classes_whose_photos_lie_in_one_fold_are_unseen_by_its_model() -> None:
    unseen = in_one_fold(LABELS, assign_folds(IDS, LABELS, 2, 0))
    assert LABELS[unseen].tolist() == [4]  # one photo; the two of class 3 are in two folds


def test_the_probability_of_the_true_class_is_its_softmax() -> None:
    logits = np.log(np.array([[1, 3], [1, 3]], np.float32))
    assert true_class_probability(logits, np.array([0, 1])).tolist() == pytest.approx([0.25, 0.75])


def test_quantiles_of_nothing_are_none() -> None:
    assert quantiles(np.empty(0)) == {}
    assert quantiles(np.arange(5))["median"] == 2


# ---------------------------------------------------------------- rules of other packages


class Rule:
    """A rule that answers as it is told."""

    version = 1
    models: FoldModels | None = None

    def __init__(
        self, answer: Callable[[TrainingPhotos], Any], exclude: tuple[str, ...] = ()
    ) -> None:
        self.answer = answer
        self.exclude = exclude

    def expected(self, photos: TrainingPhotos) -> int | None:
        return int(self.answer(photos).sum())

    def select(self, photos: TrainingPhotos, predictions: FoldPredictions | None) -> Any:
        return self.answer(photos)


def _photos(rule: Rule) -> TrainingPhotos:
    return training_photos(IDS, LABELS, CLASSES, rule)


def test_a_rule_is_given_labels_counts_classes_and_what_it_may_choose() -> None:
    rule = Rule(lambda photos: (photos.counts[photos.labels] == 7) & photos.allowed, ("cat",))
    photos = _photos(rule)
    assert photos.counts.tolist() == [50, 31, 7, 2, 1]
    assert set(LABELS[photos.allowed]) == {1, 2, 3, 4}
    assert set(LABELS[select("mine", rule, photos, None)]) == {2}
    assert expected("mine", rule, photos) == 7


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda photos: 1 / 0, r"hard rule 'mine' failed \(ZeroDivisionError: .*another rule"),
        (lambda photos: [True] * 91, r"answers with a list; .* shape \(91,\)"),
        (lambda photos: photos.labels, r"an array of int64 of shape \(91,\)"),
        (lambda photos: np.ones(3, bool), r"an array of bool of shape \(3,\)"),
        (lambda photos: ~photos.allowed, "selects photos of classes in its `exclude`"),
    ],
)
def test_a_rule_that_fails_is_named_with_cause_and_way_out(
    answer: Callable[[TrainingPhotos], Any], says: str
) -> None:
    rule = Rule(answer, exclude=("cat",))
    with pytest.raises(UserError, match=says):
        select("mine", rule, _photos(rule), None)


def test_a_rule_that_fails_before_models_are_trained_is_named() -> None:
    with pytest.raises(UserError, match="hard rule 'mine' failed .*AttributeError"):
        expected("mine", Rule(lambda photos: None), _photos(Rule(lambda photos: None)))


@pytest.mark.parametrize(
    ("exclude", "says"),
    [(("catt",), "did you mean 'cat'"), (CLASSES, "leaves no photo to choose from")],
)
def test_classes_that_cannot_be_excluded_are_named(exclude: tuple[str, ...], says: str) -> None:
    with pytest.raises(UserError, match=says):
        _photos(Rule(lambda photos: photos.allowed, exclude))
