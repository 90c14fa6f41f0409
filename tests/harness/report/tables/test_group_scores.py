"""Accuracy by group, worked out by hand from confusion counts."""

from typing import Any

import numpy as np
import pytest

from discl.core.interfaces import NO_GROUP
from discl.engine.evaluation.confusion import count, pack
from discl.harness.report.comparison import Comparison
from discl.harness.report.page import page
from discl.harness.report.section import draw_section
from discl.harness.report.tables.group_scores import MOST_GROUPS, GroupScores, group_scores
from tests.reports import HOSTILE, comparison_of

RIGHT = {0: (30, 24), 1: (40, 10), 2: (5, 0), NO_GROUP: (50, 0)}  # group -> photos, of them right
TWO = {"static": [30, 34], "real_rebalanced": [20, 22]}


def packed(right: dict[int, tuple[int, int]]) -> str:
    """Confusion counts of such groups; every photo is of class 0."""
    groups = np.repeat([*right], [photos for photos, _ in right.values()])
    guess = np.concatenate(
        [np.repeat([0, 1], [good, photos - good]) for photos, good in right.values()]
    )
    return pack(count("", "", groups, np.zeros_like(groups), guess))


def compared(right: dict[int, tuple[int, int]], split: str = "test") -> Comparison:
    counts: dict[str, Any] = {"test": {"": packed({0: (9, 9)})}, "val": {"": packed(RIGHT)}}
    counts[split] = {"": packed(right)}
    return comparison_of(TWO, confusion_counts=counts)


def scores(right: dict[int, tuple[int, int]], **names: Any) -> GroupScores:
    found = group_scores(compared(right), names.get("names", {}))
    assert found is not None
    return found


def test_groups_are_scored_worst_first_and_a_small_one_is_nobodys_worst() -> None:
    found = scores(RIGHT, names={0: "Serengeti", 1: "Kruger"})
    assert [(line.name, line.photos, line.large) for line in found.lines] == [
        ("group 2", 5, False),
        ("no group", 50, False),
        ("Kruger", 40, True),
        ("Serengeti", 30, True),
    ]
    assert [line.scores[0].mean for line in found.lines] == pytest.approx([0, 0, 0.25, 0.8])
    assert [(one.strategy, one.name, one.photos) for one in found.worst] == [
        ("static", "Kruger", 40),
        ("real_rebalanced", "Kruger", 40),
    ]
    assert found.shown == ["static", "real_rebalanced"]
    assert found.least == 20


def test_splits_out_of_distribution_count_and_val_does_not() -> None:
    found = group_scores(compared({7: (20, 10), 8: (20, 5)}, "ood/cameras"), {})
    assert found is not None
    assert {line.split for line in found.lines} == {"ood/cameras", "test"}
    assert found.worst[0][1:4] == ("group 8", "ood/cameras", 20)


def test_a_held_out_split_of_one_group_is_a_line_and_nobodys_worst_group() -> None:
    counts = {"test": {"": packed(RIGHT)}, "ood/unseen": {"": packed({NO_GROUP: (120, 20)})}}
    found = group_scores(comparison_of(TWO, confusion_counts=counts), {})
    assert found is not None
    (line,) = (line for line in found.lines if line.split == "ood/unseen")
    assert (line.name, line.photos, line.large) == ("all photos", 120, True)
    assert line.scores[0].mean == pytest.approx(1 / 6)
    assert {one.split for one in found.worst} == {"test"}


def test_without_several_groups_there_is_no_table() -> None:
    assert group_scores(comparison_of(TWO), {}) is None
    assert group_scores(compared({0: (30, 3), NO_GROUP: (9, 1)}), {}) is None
    assert "Group by group" not in page([draw_section(comparison_of(TWO))], "")


def test_two_hundred_groups_are_shown_and_of_more_the_worst() -> None:
    for groups in (MOST_GROUPS, MOST_GROUPS + 20):
        found = scores({group: (400, group) for group in range(groups)})
        assert len(found.lines) == MOST_GROUPS
        assert found.total == groups
        assert found.lines[0].name == "group 0"
        text = page([draw_section(compared({g: (400, g) for g in range(groups)}))], "")
        said = "All groups" if groups == MOST_GROUPS else "The worst 200 of 220 groups"
        assert said in text


def test_the_page_names_the_worst_group_and_escapes_it() -> None:
    names = {1: HOSTILE["script"], 0: HOSTILE["right to left"]}
    text = page([draw_section(compared(RIGHT), group_names=names)], "")
    said = text.partition("The worst group of static is <b>")[2]
    assert said.startswith("&lt;/script&gt;")
    assert "25.0&nbsp;% of its 40 photos are called right" in said[:200]
    assert "\u202e" not in text.partition("<script")[0]
