"""Labels of images that were edited towards another class, by hand."""

import numpy as np
import pytest

from discl.engine.soft_labels import SoftLabels
from discl.engine.softmax import softmax_at

TARGETS = {0: np.array([2, 0]), 75: np.array([2, 1])}


def test_the_share_of_the_class_asked_for_is_a_power_of_the_strength() -> None:
    half = SoftLabels(TARGETS, power=0.5)
    assert [half.share(level) for level in (0, 36, 75, 100)] == pytest.approx([1, 0.8, 0.5, 0])
    assert SoftLabels(TARGETS, power=2.0).share(75) == pytest.approx(1 / 16)


def test_soft_labels_by_hand() -> None:
    soft = SoftLabels(TARGETS, power=0.5).of(
        labels=np.array([1, 1, 1, 1]),
        level=np.array([100, 0, 75, 75]),
        position=np.array([-1, 1, 0, 1]),
        classes=3,
    )
    assert soft.dtype == np.float32
    # the last one was asked to be what its photo is
    assert soft.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0.5, 0.5], [0, 1, 0]]


def test_the_probability_of_a_soft_label_is_that_of_its_classes_by_their_shares() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    whole = softmax_at(logits, np.array([1, 2]))
    assert whole.tolist() == pytest.approx([0.25, 0.8])
    assert softmax_at(logits, np.eye(3)[1:]).tolist() == pytest.approx(whole.tolist())
    soft = np.array([[0.5, 0.5, 0.0], [0.5, 0.0, 0.5]])
    assert softmax_at(logits, soft).tolist() == pytest.approx([0.375, 0.45])
