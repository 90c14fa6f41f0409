import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, recall_score

from discl.core.errors import UserError
from discl.core.interfaces import NO_GROUP, Metric
from discl.engine.evaluation.confusion import adjust, has_several_groups
from discl.engine.evaluation.metrics import (
    class_recalls,
    definitions,
    definitions_id,
    of_predictions,
    split_metrics,
)
from tests.metrics import DEFAULT, all_metrics, metrics_with

ROOT = Path(__file__).parents[3]
EXTRA = ("macro_f1_union", "macro_f1_all", "classes_scored")

EVERYTHING = metrics_with(EXTRA)


def support(
    truth: np.ndarray, groups: np.ndarray, metrics: dict[str, Metric] = DEFAULT
) -> dict[str, float]:
    """What the labels alone decide."""
    of_labels = {name: metric for name, metric in metrics.items() if metric.labels_only}
    return split_metrics(truth, truth, np.ones(truth.max() + 1, np.int64), of_labels, groups)


def _one_hot(guesses: Any, classes: int) -> np.ndarray:
    return np.eye(classes, dtype=np.float32)[guesses]


@pytest.mark.parametrize(
    ("truth", "guess", "classes", "wilds", "union", "every"),
    [
        ([0, 0, 1, 1, 2, 2], [0, 0, 1, 3, 2, 2], 5, 8 / 9, 2 / 3, 8 / 15),
        ([0, 0, 0, 1], [0, 0, 2, 1], 3, 0.9, 0.6, 0.6),
        ([2, 1, 0, 4], [2, 1, 0, 1], 5, 2 / 3, 2 / 3, 8 / 15),
    ],
)
def test_macro_f1_has_three_meanings_and_each_has_a_name(
    truth: list[int], guess: list[int], classes: int, wilds: float, union: float, every: float
) -> None:
    values = split_metrics(np.array(truth), np.array(guess), np.ones(classes, np.int64), EVERYTHING)
    assert values["macro_f1"] == pytest.approx(wilds)
    assert values["macro_f1_union"] == pytest.approx(union)
    assert values["macro_f1_all"] == pytest.approx(every)
    assert "macro_f1_union" not in split_metrics(
        np.array(truth), np.array(guess), np.ones(classes, np.int64), DEFAULT
    )


def _drawn(
    seed: int, classes: int, present: int, photos: int, groups: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Skewed truth over some of the classes, guesses over all of them, half of them right, counts
    with zeros, groups.
    """
    rng = np.random.default_rng(seed)
    truth = rng.choice(rng.choice(classes, present, replace=False), photos)
    guess = np.where(rng.random(photos) < 0.5, truth, rng.integers(0, classes, photos))
    group = np.minimum(rng.geometric(0.05, photos), groups) * 7  # numbers of cameras have holes
    group[truth == truth[0]] = 1_000  # a group of a single class
    return (
        truth,
        guess,
        np.minimum(rng.integers(0, 300, classes), rng.integers(0, 300, classes))
        // 2
        * (rng.random(classes) < 0.9),
        group,
    )


@pytest.mark.parametrize(
    "case",
    [
        (0, 7, 7, 400, 5),
        (1, 182, 9, 300, 30),
        (2, 182, 120, 2_000, 60),
        (3, 3, 1, 50, 1),
        (4, 40, 2, 60, 3),
    ],
)
def test_agrees_with_scikit_learn_also_where_classes_are_absent(
    case: tuple[int, int, int, int, int],
) -> None:
    truth, guess, counts, groups = _drawn(*case)
    present = np.unique(truth)
    values = split_metrics(truth, guess, counts, of_predictions(EVERYTHING), groups)

    def f1(of: np.ndarray, **how: Any) -> float:
        return float(f1_score(truth[of], guess[of], average="macro", zero_division=0, **how))

    whole = np.ones(len(truth), bool)
    recall = recall_score(truth, guess, average=None, labels=range(len(counts)), zero_division=0)
    assert values["acc"] == pytest.approx(accuracy_score(truth, guess))
    assert values["macro_acc"] == pytest.approx(recall[present].mean())
    assert values["worst_class_acc"] == pytest.approx(recall[present].min())
    assert values["macro_f1"] == pytest.approx(f1(whole, labels=present))
    assert values["macro_f1_union"] == pytest.approx(f1(whole))
    assert values["macro_f1_all"] == pytest.approx(f1(whole, labels=range(len(counts))))
    for name, members in (
        ("many", counts > 100),
        ("medium", (counts >= 20) & (counts <= 100)),
        ("few", counts < 20),
    ):
        mine = present[members[present]]
        if len(mine):
            assert values[f"{name}_acc"] == pytest.approx(recall[mine].mean())
        else:
            assert f"{name}_acc" not in values  # missing, not zero
    large = [groups == group for group in np.unique(groups) if (groups == group).sum() >= 20]
    assert values["worst_group_acc"] == pytest.approx(
        min(accuracy_score(truth[mine], guess[mine]) for mine in large)
    )
    assert values["worst_group_macro_f1"] == pytest.approx(
        min(f1(mine, labels=np.unique(truth[mine])) for mine in large)
    )
    expected = {
        "classes_scored": len(present),
        "groups_scored": len(large),
        "smallest_group": min(mine.sum() for mine in large),
    }
    assert support(truth, groups, EVERYTHING) == expected


def test_groups_by_real_counts_with_their_edges() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2])
    guess = np.array([0, 0, 1, 0, 0, 2])
    values = split_metrics(truth, guess, np.array([101, 100, 19]), DEFAULT)
    assert values["many_acc"] == 1
    assert values["medium_acc"] == 1 / 2
    assert values["few_acc"] == 1 / 2
    assert values["macro_acc"] == pytest.approx(2 / 3)
    assert values["worst_class_acc"] == 1 / 2
    assert "few_acc" not in split_metrics(
        truth, guess, np.array([101, 100, 20]), DEFAULT
    )  # empty group: missing, not zero


@pytest.mark.parametrize(
    ("rule", "expected"),
    # classes of 101, 100, 99, 21, 20, 19 photos with recall 1, 0, 1, 0, 1, 0 on 2, 1, 1, 1, 1, 3
    # photos
    [
        ("kang", {"many_acc": 1, "medium_acc": 1 / 2, "few_acc": 0}),
        ("oltr", {"many_acc": 1 / 2, "medium_acc": 1 / 2, "few_acc": 1 / 2}),
        ("ldmlr", {"many_acc": 2 / 3, "medium_acc": 2 / 3, "few_acc": 0}),
    ],
)
def test_many_medium_and_few_follow_the_named_rule(rule: str, expected: dict[str, float]) -> None:
    truth, guess = np.array([0, 0, 1, 2, 3, 4, 5, 5, 5]), np.array([0, 0, 0, 2, 0, 4, 0, 0, 0])
    values = split_metrics(
        truth, guess, np.array([101, 100, 99, 21, 20, 19]), metrics_with(shots=rule)
    )
    assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_pooled_and_per_class_differ_on_a_skewed_split() -> None:
    truth, guess, counts = np.repeat([0, 1], [8, 2]), np.zeros(10, np.int64), np.array([500, 500])
    assert split_metrics(truth, guess, counts, DEFAULT)["many_acc"] == 1 / 2
    pooled = metrics_with(shots="ldmlr")
    assert split_metrics(truth, guess, counts, pooled)["many_acc"] == 8 / 10


def test_the_worst_group_needs_support() -> None:
    truth = np.array([0, 0, 1, 1, 0, 1])
    guess = np.array([0, 0, 1, 0, 1, 0])
    groups, counts = np.array([5, 5, 5, 5, 8, 8]), np.array([30, 30])
    all_groups, large = metrics_with(min_group_size=2), metrics_with(min_group_size=3)
    assert split_metrics(truth, guess, counts, all_groups, groups)["worst_group_acc"] == 0
    values = split_metrics(truth, guess, counts, large, groups)
    assert values["worst_group_acc"] == 3 / 4
    assert values["worst_group_macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert support(truth, groups, large) == {"groups_scored": 1, "smallest_group": 4}
    assert "worst_group_acc" not in split_metrics(
        truth, guess, counts, DEFAULT, groups
    )  # 20 photos: no group has them
    assert support(truth, groups) == {"groups_scored": 0}


def test_photos_without_a_group_are_in_no_worst_group_and_in_all_else() -> None:
    truth, guess = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 0, 1, 0, 1, 0])
    counts, metrics = np.array([30, 30]), metrics_with(min_group_size=2)
    groups = np.array([5, 5, 8, 8, NO_GROUP, NO_GROUP])  # all wrong where there is no group
    values = split_metrics(truth, guess, counts, metrics, groups)
    assert (values["acc"], values["worst_group_acc"], values["groups_scored"]) == (0.5, 0.5, 2)
    nowhere = split_metrics(truth, guess, counts, metrics, np.full(6, NO_GROUP))
    assert nowhere == split_metrics(truth, guess, counts, metrics)
    assert not has_several_groups(np.array([NO_GROUP, 3, 3]))
    assert has_several_groups(np.array([4, 3, 3]))


def test_a_tie_goes_to_the_first_class_and_an_empty_split_has_no_numbers() -> None:
    predictions = {
        "test/logits": np.zeros((4, 3), np.float32),
        "test/labels": np.array([0, 1, 2, 0]),
    }
    assert all_metrics(predictions, np.array([5, 5, 5]))["test/acc"] == 1 / 2
    assert class_recalls(predictions, "test", 4) == [1, 0, 0, None]
    none = np.empty(0, np.int64)
    assert split_metrics(none, none, np.array([5, 5]), DEFAULT) == {}


def test_adjusting_logits_favours_rare_classes() -> None:
    logits = np.array([[1.0, 0.9]], np.float32)
    assert adjust(logits, np.array([90, 10])).argmax() == 1


def test_adjusting_never_turns_to_a_class_without_a_training_photo() -> None:
    rng = np.random.default_rng(0)
    logits, counts = 5 * rng.standard_normal((500, 182), np.float32), rng.integers(1, 200, 182)
    unseen = np.arange(182) % 3 == 0
    counts[unseen] = 0
    before, after = logits.argmax(1), adjust(logits, counts).argmax(1)
    assert unseen[after].any()  # what was sure of one may stay
    assert (before[unseen[after]] == after[unseen[after]]).all()
    assert np.array_equal(adjust(logits, counts)[:, unseen], logits[:, unseen])


def test_ood_is_the_plain_mean_over_corruptions() -> None:
    truth = np.array([0, 1])
    predictions = {
        "test/logits": _one_hot([0, 1], 2),
        "test/labels": truth,
        "ood/fog-1/logits": _one_hot([0, 0], 2),
        "ood/fog-1/labels": truth,
        "ood/jpeg-1/logits": _one_hot([1, 0], 2),
        "ood/jpeg-1/labels": truth,
    }
    values = all_metrics(predictions, np.array([5, 5]))
    assert values["ood/fog-1/acc"] == 1 / 2
    assert values["ood/jpeg-1/acc"] == 0
    assert values["ood/acc"] == 1 / 4
    assert values["test/acc"] == 1


def test_groups_count_where_a_split_has_them_and_ood_is_the_mean_of_the_worst() -> None:
    truth, cameras, conventions = (
        np.array([0, 1, 0, 1]),
        np.array([1, 1, 2, 2]),
        metrics_with(min_group_size=2),
    )
    predictions = {
        "id_test/logits": _one_hot([0, 1, 0, 1], 2),
        "id_test/labels": truth,
        "ood/a/logits": _one_hot([0, 1, 0, 0], 2),
        "ood/a/labels": truth,
        "ood/a/groups": cameras,
        "ood/b/logits": _one_hot([0, 1, 1, 0], 2),
        "ood/b/labels": truth,
        "ood/b/groups": cameras,
    }
    values = all_metrics(predictions, np.array([5, 5]), conventions)
    assert "id_test/worst_group_acc" not in values
    assert (
        values["ood/a/worst_group_acc"],
        values["ood/b/worst_group_acc"],
        values["ood/worst_group_acc"],
    ) == (1 / 2, 0, 1 / 4)
    assert (values["ood/a/groups_scored"], values["ood/a/smallest_group"]) == (2, 2)
    assert values["ood/adjusted_worst_group_acc"] == 1 / 4
    del predictions["ood/b/logits"]
    alone = all_metrics(predictions, np.array([5, 5]), conventions)
    assert {key: alone[f"ood/{key}"] for key in support(truth, cameras, conventions)} == {
        "groups_scored": 2,
        "smallest_group": 2,
    }
    assert (
        alone["ood/worst_group_macro_f1"]
        == alone["ood/a/worst_group_macro_f1"]
        == pytest.approx(1 / 3)
    )


# ---------------------------------------------------------------- what a number means


def test_published_results_have_the_definitions_of_today() -> None:
    paths = sorted((ROOT / "leaderboards" / "results" / "cifar10_lt" / "smoke").glob("*.json"))
    assert paths
    for path in paths:
        stored = json.loads(path.read_text("utf-8"))
        assert (
            stored["comparability"]["definitions"]
            == definitions_id(stored["metrics"], np.array(stored["counts"]), DEFAULT)
            == "007f9a5f0e4238e7"
        )


def test_every_metric_has_a_definition_and_another_meaning_is_another_id() -> None:
    truth, guess, counts, groups = _drawn(2, 182, 120, 2_000, 60)
    predictions = {"test/logits": _one_hot(guess, 182), "test/labels": truth, "test/groups": groups}
    names = list(all_metrics(predictions, counts, EVERYTHING))
    defined = definitions(names, counts, EVERYTHING)
    assert {name.removeprefix("test/").removeprefix("adjusted_") for name in names} <= set(defined)
    assert defined["few_acc"] == "mean recall over classes with fewer than 20 real training photos"
    assert defined["worst_group_acc"].startswith("lowest accuracy of a group of at least 20 photos")
    assert "unseen" in defined
    assert "unseen" not in definitions(names, counts + 1, EVERYTHING)
    others = [
        EVERYTHING,
        metrics_with(EXTRA, shots="oltr"),
        metrics_with(EXTRA, shots="ldmlr"),
        metrics_with(EXTRA, min_group_size=5),
    ]
    ids = [definitions_id(names, counts, metrics) for metrics in others]
    assert len(set(ids)) == len(ids)
    without_few = [name for name in names if not name.endswith("few_acc")]
    assert definitions_id(without_few, counts, EVERYTHING) == ids[0]
    with pytest.raises(UserError, match="metric 'marvel' is not installed here"):
        definitions(["test/marvel"], counts, EVERYTHING)


def test_interpolated_weights_are_scored_beside_the_run_s_own() -> None:
    right, wrong = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]
    stored = {"test/logits": wrong, "test/wise_logits": right, "test/labels": np.array([0, 1])}
    values = all_metrics(stored, np.array([5, 5]))
    assert (values["test/acc"], values["test/wise_acc"], values["test/wise_adjusted_acc"]) == (
        0.0,
        1.0,
        1.0,
    )
    assert "test/wise_acc" not in all_metrics(
        {"test/logits": wrong, "test/labels": np.array([0, 1])}, np.array([5, 5])
    )
