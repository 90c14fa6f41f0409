import numpy as np
import pytest

from discl.core.errors import UserError
from discl.engine.hard_mining import (
    OutOfFoldPredictions,
    assign_folds,
    below_threshold,
    least_confident,
    probability_and_guess,
)

LABELS = np.repeat([0, 1, 2, 3, 4], [50, 31, 7, 2, 1])
IDS = np.array([f"photo{i}" for i in range(len(LABELS))])


def _judged(probability: list[float], ids: str = "abcdef") -> OutOfFoldPredictions:
    count = len(probability)
    labels = np.zeros(count, np.int64)
    return OutOfFoldPredictions(
        np.array(list(ids[:count])), labels, labels, np.array(probability, np.float32), labels
    )


def test_every_class_is_dealt_evenly_and_so_is_the_whole() -> None:
    fold = assign_folds(IDS, LABELS, 4, 0)
    for label in range(5):
        counts = np.bincount(fold[label == LABELS], minlength=4)
        assert counts.max() - counts.min() <= 1
    assert sorted(np.bincount(fold)) == [22, 23, 23, 23]


def test_single_photos_of_small_classes_do_not_all_lie_in_one_fold() -> None:
    assert np.bincount(assign_folds(IDS[:20], np.arange(20), 4, 0)).tolist() == [5, 5, 5, 5]


def test_a_fold_hangs_on_ids_and_seed_and_not_on_the_order_of_rows() -> None:
    fold, order = assign_folds(IDS, LABELS, 3, 0), np.random.default_rng(0).permutation(len(IDS))
    assert np.array_equal(assign_folds(IDS[order], LABELS[order], 3, 0), fold[order])
    assert not np.array_equal(assign_folds(IDS, LABELS, 3, 1), fold)


def test_classes_whose_photos_lie_in_one_fold_are_strange_to_its_judge() -> None:
    fold = assign_folds(IDS, LABELS, 2, 0)
    judged = OutOfFoldPredictions(IDS, LABELS, fold, np.zeros(len(IDS), np.float32), LABELS)
    assert LABELS[judged.strange].tolist() == [4]  # one photo; the two of class 3 are in two folds


def test_a_judgement_is_the_softmax_of_the_own_class() -> None:
    logits = np.log(np.array([[1, 3], [1, 3]], np.float32))
    probability, guess = probability_and_guess(logits, np.array([0, 1]))
    assert probability.tolist() == pytest.approx([0.25, 0.75])
    assert guess.tolist() == [1, 1]


ALL, NOT_A = np.ones(6, bool), np.array([False, True, True, True, True, True])


def test_a_fraction_is_of_all_photos_and_takes_the_least_sure_of_those_allowed() -> None:
    judged = _judged([0.1, 0.5, 0.2, 0.9, 0.3, 0.4])
    assert np.flatnonzero(least_confident(judged, ALL, 0.5)).tolist() == [0, 2, 4]
    assert np.flatnonzero(least_confident(judged, NOT_A, 0.5)).tolist() == [2, 4, 5]
    assert least_confident(judged, ALL, 1.0).all()


def test_of_equals_the_first_ids_are_taken_whatever_the_order_of_rows() -> None:
    assert np.flatnonzero(least_confident(_judged([0.2] * 6), ALL, 1 / 3)).tolist() == [0, 1]
    assert np.flatnonzero(least_confident(_judged([0.2] * 6, "fedcba"), ALL, 1 / 3)).tolist() == [
        4,
        5,
    ]


def test_the_papers_share_of_iwildcam_gives_the_papers_number() -> None:
    count = 129_809
    judged = OutOfFoldPredictions(
        np.arange(count).astype(str),
        *(np.zeros(count, np.int64),) * 2,
        np.linspace(0, 1, count),
        np.zeros(count, np.int64),
    )  # type: ignore[arg-type]
    assert abs(int(least_confident(judged, np.ones(count, bool), 0.0636).sum()) - 8_260) <= 5


def test_a_threshold_is_strict_and_passes_over_what_is_excluded() -> None:
    judged = _judged([0.1, 0.5, 0.2, 0.9, 0.3, 0.4])
    assert np.flatnonzero(below_threshold(judged, ALL, 0.3)).tolist() == [0, 2]
    assert np.flatnonzero(below_threshold(judged, NOT_A, 0.3)).tolist() == [2]


@pytest.mark.parametrize(
    ("fraction", "allowed", "says"),
    [
        (0.01, ALL, "is none of them; raise it"),
        (1.0, NOT_A, r"is 6, and hard_rule.exclude leaves 5; take 0.8333 at most"),
    ],
)
def test_a_fraction_that_cannot_be_met_says_what_can(
    fraction: float, allowed: np.ndarray, says: str
) -> None:  # type: ignore[type-arg]
    with pytest.raises(UserError, match=says):
        least_confident(_judged([0.1] * 6), allowed, fraction)


@pytest.mark.parametrize(
    ("threshold", "says"),
    [
        (0.05, "chooses no photo"),
        (0.95, "chooses every photo: the probabilities run from 0.1 to 0.9"),
    ],
)
def test_a_threshold_that_chooses_nothing_or_everything_tells_the_range(
    threshold: float, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        below_threshold(_judged([0.1, 0.5, 0.2, 0.9, 0.3, 0.4]), ALL, threshold)
