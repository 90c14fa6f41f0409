"""Pairs of classes, worked out by hand from confusion counts."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from discl.engine.evaluation.confusion import count, pack
from discl.harness.report.gallery import PairPicture
from discl.harness.report.page import page
from discl.harness.report.section import draw_section
from discl.harness.report.tables.confusions import confusions
from tests.reports import HOSTILE, comparison_of

TRUTH = [0] * 10 + [1] * 4
GUESS = [0] * 4 + [1] * 5 + [2] * 1 + [1] * 2 + [2] * 2
TWO = {"static": [30, 34], "real_rebalanced": [20, 22]}


def counts(guess: list[int]) -> dict[str, Any]:
    packed = pack(count("test", "", None, np.array(TRUTH), np.array(guess)))
    return {"test": {"": packed}, "ood/fog": {"": packed}}


def test_the_most_frequent_mistakes_come_first_with_their_share_of_the_class() -> None:
    found = confusions(comparison_of(TWO, confusion_counts=counts(GUESS)))
    assert found is not None
    assert [(pair.truth, pair.guess, pair.photos) for pair in found.pairs] == [
        (0, 1, 5),
        (1, 2, 2),
        (0, 2, 1),
    ]
    assert found.pairs[0].names == ("airplane", "automobile")
    assert [pair.shares for pair in found.pairs] == [
        pytest.approx([0.5, 0.5]),
        pytest.approx([0.5, 0.5]),
        pytest.approx([0.1, 0.1]),
    ]


def test_nothing_is_said_where_all_is_right_or_nothing_was_kept() -> None:
    assert confusions(comparison_of(TWO, confusion_counts=counts(TRUTH))) is None
    assert confusions(comparison_of(TWO, confusion_counts={})) is None


def test_the_page_shows_the_pairs_escaped_and_their_pictures_where_there_are_any() -> None:
    classes = [HOSTILE["script"], HOSTILE["long"], *"abcdefgh"]
    made = comparison_of(TWO, confusion_counts=counts(GUESS), classes=classes)
    text = page([draw_section(made)], "")
    assert "What is taken for what" in text
    assert "&lt;/script&gt;" in text
    assert '<th scope="col">mistaken</th>' not in text
    pairs = {(0, 1): PairPicture("data:image/webp;base64,AA", "")}
    text = page([draw_section(made, pairs=pairs)], "")
    assert '<th scope="col">mistaken</th>' in text
    assert text.count("data:image/webp;base64,AA") == 1


def test_a_strategy_without_counts_has_no_share_and_the_page_is_made() -> None:
    comparison = comparison_of(TWO, confusion_counts=counts(GUESS))
    old: dict[str, Any] = {"test": {"adjusted": counts(GUESS)["test"][""]}}
    for row, lacking in ((row, row.strategy == "real_rebalanced") for row in comparison.board.rows):
        row.results[:] = [
            replace(each, confusion_counts=old) if lacking else each for each in row.results
        ]
    found = confusions(comparison)
    assert found is not None
    assert [pair.shares for pair in found.pairs] == [
        [pytest.approx(0.5), None],
        [pytest.approx(0.5), None],
        [pytest.approx(0.1), None],
    ]
    assert found.pairs[0].names[1] in page([draw_section(comparison)], "")
