"""The hard rules of discl: small classes, and out-of-fold predictions of low confidence."""

from typing import Any

import numpy as np
import pytest

from discl.config.load import load
from discl.core.errors import UserError
from discl.core.interfaces import FoldPredictions, TrainingPhotos, check_hard_rule
from discl.parts.hard_rules.low_confidence import LowConfidence
from discl.parts.hard_rules.tail import TailClasses

PROBABILITY = [0.1, 0.5, 0.2, 0.9, 0.3, 0.4]
ALL = np.ones(6, bool)
NOT_FIRST = np.array([False, True, True, True, True, True])


def _photos(ids: str = "abcdef", allowed: Any = ALL) -> TrainingPhotos:
    labels = np.zeros(len(ids), np.int64)
    return TrainingPhotos(np.array(list(ids)), labels, np.bincount(labels), ("cat",), allowed)


def _predictions(probability: list[float]) -> FoldPredictions:
    labels = np.zeros(len(probability), np.int64)
    return FoldPredictions(labels, np.array(probability, np.float32), labels)


def _selected(rule: LowConfidence, photos: TrainingPhotos, probability: list[float]) -> list[int]:
    return np.flatnonzero(rule.select(photos, _predictions(probability))).tolist()


def test_the_tail_rule_selects_classes_with_fewer_photos_than_its_limit() -> None:
    labels = np.repeat([0, 1, 2], [20, 19, 3])
    photos = TrainingPhotos(
        labels.astype(str), labels, np.bincount(labels), ("a", "b", "c"), labels != 2
    )
    rule = TailClasses(max_class_images=20)
    hard = rule.select(photos, None)
    assert set(labels[hard]) == {1}  # 20 photos are not fewer than 20; class 2 is excluded
    assert rule.expected(photos) == 19


def test_a_fraction_is_of_all_photos_and_takes_the_least_confident_of_those_allowed() -> None:
    assert _selected(LowConfidence(fraction=0.5), _photos(), PROBABILITY) == [0, 2, 4]
    photos = _photos(allowed=NOT_FIRST)
    assert _selected(LowConfidence(fraction=0.5), photos, PROBABILITY) == [2, 4, 5]
    assert _selected(LowConfidence(fraction=1), _photos(), PROBABILITY) == [0, 1, 2, 3, 4, 5]
    assert LowConfidence(fraction=0.5).expected(photos) == 3


def test_of_equals_the_first_ids_are_taken_whatever_the_order_of_rows() -> None:
    rule = LowConfidence(fraction=1 / 3)
    assert _selected(rule, _photos(), [0.2] * 6) == [0, 1]
    assert _selected(rule, _photos("fedcba"), [0.2] * 6) == [4, 5]


def test_the_papers_share_of_iwildcam_gives_the_papers_number() -> None:
    allowed = np.ones(129_809, bool)
    labels = np.zeros(len(allowed), np.int64)
    photos = TrainingPhotos(labels.astype(str), labels, np.bincount(labels), ("a",), allowed)
    assert abs((LowConfidence(fraction=0.0636).expected(photos) or 0) - 8_260) <= 5


def test_a_threshold_is_strict_and_leaves_out_what_is_excluded() -> None:
    rule = LowConfidence(threshold=0.3)
    assert _selected(rule, _photos(), PROBABILITY) == [0, 2]
    assert _selected(rule, _photos(allowed=NOT_FIRST), PROBABILITY) == [2]
    assert rule.expected(_photos()) is None


@pytest.mark.parametrize(
    ("fraction", "allowed", "says"),
    [
        (0.01, ALL, "selects none; raise it"),
        (1.0, NOT_FIRST, r"is 6, and hard_rule.exclude leaves 5; take 0.8333 at most"),
    ],
)
def test_a_fraction_that_cannot_be_met_says_what_can(
    fraction: float, allowed: Any, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        LowConfidence(fraction=fraction).expected(_photos(allowed=allowed))


@pytest.mark.parametrize(
    ("threshold", "says"),
    [
        (0.05, "chooses no photo"),
        (0.95, "chooses every photo: the probabilities run from 0.1 to 0.9"),
    ],
)
def test_a_threshold_that_selects_nothing_or_everything_tells_the_range(
    threshold: float, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        _selected(LowConfidence(threshold=threshold), _photos(), PROBABILITY)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "needs hard_rule.fraction .* or hard_rule.threshold"),
        ({"fraction": 0.1, "threshold": 0.1}, "exclude each other"),
        ({"fraction": 0.0}, "hard_rule.fraction = 0.0: takes a share"),
        ({"fraction": 1.5}, "hard_rule.fraction = 1.5"),
        ({"fraction": "some"}, "hard_rule.fraction = 'some'"),
        ({"threshold": 1}, "hard_rule.threshold = 1: takes a probability"),
        ({"fraction": 0.1, "folds": 1}, "hard_rule.folds = 1: takes a whole number from 2 up"),
        ({"fraction": 0.1, "epochs": -1}, "hard_rule.epochs = -1"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=says):
        LowConfidence(**parameters)


def test_a_limit_below_one_photo_is_refused() -> None:
    with pytest.raises(UserError, match="max_class_images = 0: takes a whole number from 1 up"):
        TailClasses(max_class_images=0)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"exclude": ()}, "'mine' does not say which models it needs"),
        ({"models": (3, 0, 0), "exclude": ()}, "None, or a FoldModels"),
        ({"models": None}, "'mine' has no list of classes as its `exclude`"),
        ({"models": None, "exclude": "cat"}, "no list of classes"),
    ],
)
def test_a_rule_without_an_attribute_of_every_rule_is_refused(
    attributes: dict[str, Any], says: str
) -> None:
    rule: Any = type("Mine", (), attributes)()
    with pytest.raises(UserError, match=says):
        check_hard_rule("mine", rule)


def test_classes_to_exclude_are_a_list() -> None:
    with pytest.raises(UserError, match="exclude = 'cat' does not fit; it takes a list of texts"):
        load("cifar10_lt", settings=["hard_rule.exclude=cat"])
