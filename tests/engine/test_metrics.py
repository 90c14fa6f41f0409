import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from discl.engine.metrics import adjust, all_metrics, confusion, macro_f1, recalls, split_metrics


@pytest.mark.parametrize(
    ("truth", "guess", "classes", "expected"),
    [([0, 0, 1, 1, 2, 2], [0, 0, 1, 3, 2, 2], 5, 0.888889), ([0, 0, 0, 1], [0, 0, 2, 1], 3, 0.9), ([2, 1, 0, 4], [2, 1, 0, 1], 5, 0.666667)],
)
def test_macro_f1_is_the_wilds_rule(truth: list[int], guess: list[int], classes: int, expected: float) -> None:
    assert macro_f1(confusion(np.array(truth), np.array(guess), classes)) == pytest.approx(expected, abs=1e-6)


def test_agrees_with_scikit_learn_where_conventions_meet() -> None:
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(0, 7, 500), rng.integers(0, 9, 500)
    matrix = confusion(truth, guess, 9)
    present = np.unique(truth)
    assert macro_f1(matrix) == pytest.approx(f1_score(truth, guess, average="macro", labels=present, zero_division=0))
    assert np.nanmean(recalls(matrix)) == pytest.approx(recall_score(truth, guess, average="macro", labels=present, zero_division=0))


def test_groups_by_real_counts_with_their_edges() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    guess = np.array([0, 0, 1, 0, 0, 2])
    values = split_metrics(truth, guess, np.array([101, 100, 19]))
    assert values["many_acc"] == 1
    assert values["medium_acc"] == 1 / 2
    assert values["few_acc"] == 1 / 2
    assert values["macro_acc"] == pytest.approx(2 / 3)
    assert values["worst_class_acc"] == 1 / 2
    assert "few_acc" not in split_metrics(truth, guess, np.array([101, 100, 20]))  # empty group: missing, not zero


def test_adjusting_logits_favours_rare_classes() -> None:
    logits = np.array([[1.0, 0.9]], np.float32)
    assert adjust(logits, np.array([90, 10])).argmax() == 1


def test_ood_is_the_plain_mean_over_corruptions() -> None:
    def saved(guesses: list[int]) -> np.ndarray:
        return np.eye(2, dtype=np.float32)[guesses]

    truth = np.array([0, 1])
    predictions = {
        "test/logits": saved([0, 1]), "test/labels": truth, "ood/fog-1/logits": saved([0, 0]), "ood/fog-1/labels": truth,
        "ood/jpeg-1/logits": saved([1, 0]), "ood/jpeg-1/labels": truth,
    }  # fmt: skip
    values = all_metrics(predictions, np.array([5, 5]))
    assert values["ood/fog-1/acc"] == 1 / 2
    assert values["ood/jpeg-1/acc"] == 0
    assert values["ood/acc"] == 1 / 4
    assert values["test/acc"] == 1


def test_interpolated_weights_are_scored_beside_the_run_s_own() -> None:
    right, wrong = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]
    stored = {"test/logits": wrong, "test/wise_logits": right, "test/labels": np.array([0, 1])}
    values = all_metrics(stored, np.array([5, 5]))
    assert (values["test/acc"], values["test/wise_acc"], values["test/wise_adjusted_acc"]) == (0.0, 1.0, 1.0)
    assert "test/wise_acc" not in all_metrics({"test/logits": wrong, "test/labels": np.array([0, 1])}, np.array([5, 5]))
