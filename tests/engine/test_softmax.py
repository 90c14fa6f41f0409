"""Probabilities from logits."""

import numpy as np
import pytest

from discl.engine.softmax import softmax_at


def test_the_probability_of_a_label_is_its_share_of_the_exponentials() -> None:
    logits = np.log(np.array([[1, 3], [2, 2]], np.float32))
    assert softmax_at(logits, np.array([1, 0])) == pytest.approx([3 / 4, 1 / 2])


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([[2000.0, 1000.0]], np.float32)
    assert softmax_at(logits, np.array([0])).tolist() == [1.0]
