import numpy as np

from discl.harness.run.mistakes import misclassified, surest, worst_classes

LOGITS = np.log(
    np.array(
        [[0.9, 0.1, 0], [0.2, 0.8, 0], [0.4, 0.6, 0], [0.1, 0.9, 0], [0.7, 0.3, 0]], np.float32
    )
    + 1e-9
)
SAVED = {
    "test/logits": LOGITS,
    "test/labels": np.array([0, 0, 0, 1, 1]),
    "test/ids": np.array(list("abcde")),
}


def test_the_worst_classes_are_those_of_lowest_recall_and_absent_ones_are_none() -> None:
    assert worst_classes(SAVED, "test") == [0, 1]  # recalls 1/3 and 1/2; nobody is of class 2


def test_the_surest_mistakes_come_first() -> None:
    photos = misclassified(SAVED, "test", 0)
    assert [(photo.id, photo.predicted, round(photo.confidence, 3)) for photo in photos] == [
        ("b", 1, 0.8),
        ("c", 1, 0.6),
    ]
    assert [photo.id for photo in misclassified(SAVED, "test", 0, most=1)] == ["b"]
    assert misclassified(SAVED, "test", 2) == []


def test_of_a_pair_of_classes_the_surest_photo_is_found() -> None:
    assert surest(SAVED, "test", 0, 1) == 1
    assert surest(SAVED, "test", 1, 1) == 3
    assert surest(SAVED, "test", 2, 1) is None
