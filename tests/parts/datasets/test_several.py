"""Photos with several rows, on rows made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.rows import Contents, RowBuilder
from discl.parts.datasets.manifest.several import RULES, resolved

LEFT = [0.0, 0.0, 0.5, 1.0]
RIGHT = [0.5, 0.0, 0.5, 1.0]


def table(*rows: tuple[str, str] | tuple[str, str, dict[str, Any]]) -> Contents:
    """Rows (photo, label, other columns) of boxes.csv."""
    builder = RowBuilder()
    for number, (ref, label, *more) in enumerate(rows, 1):
        builder.add(ref, label, **{"source": "boxes.csv", "row": number, **(more or [{}])[0]})
    return Contents(builder.table())


def pairs(contents: Contents) -> list[tuple[str, str]]:
    return sorted(
        zip(contents.rows["ref"].to_pylist(), contents.rows["label"].to_pylist(), strict=True)
    )


def test_one_row_a_photo_is_left_alone_by_every_rule() -> None:
    contents = table(("b", "gnu"), ("a", "zebra"))
    for rule in RULES:
        after = resolved(contents, rule)
        assert pairs(after) == [("a", "zebra"), ("b", "gnu")]
        assert after.remarks == ()


def test_equal_rows_count_once() -> None:
    contents = resolved(table(("a", "zebra"), ("b", "gnu"), ("a", "zebra"), ("a", "zebra")))
    assert pairs(contents) == [("a", "zebra"), ("b", "gnu")]
    (remark,) = contents.remarks
    assert remark.startswith("2 rows listed again")
    assert "boxes.csv, row 3" in remark


def test_photos_with_several_labels_are_dropped_and_counted_by_class() -> None:
    contents = resolved(
        table(("a", "zebra"), ("a", "gnu"), ("b", "gnu"), ("c", "zebra"), ("d", "zebra")), "drop"
    )
    assert pairs(contents) == [("b", "gnu"), ("c", "zebra"), ("d", "zebra")]
    assert contents.remarks == (
        '1 photo with several labels left out (multi_label = "drop"): gnu 1 of 2, zebra 1 of 3;'
        " first: a (boxes.csv, row 1): zebra, gnu",
    )


def test_the_first_label_is_that_of_the_first_row_in_any_order() -> None:
    rows = table(("a", "zebra"), ("a", "gnu"), ("b", "gnu"), ("a", "zebra", {"box": LEFT}))
    for order in ([0, 1, 2, 3], [3, 2, 1, 0]):
        contents = resolved(rows.with_rows(rows.rows.take(order)), "first")
        assert pairs(contents) == [("a", "zebra"), ("b", "gnu")]
        assert "labels not taken: gnu 1 of 2" in contents.remarks[0]


def test_several_animals_of_one_class_are_one_photo_taken_whole() -> None:
    contents = resolved(
        table(("a", "zebra", {"box": LEFT}), ("a", "zebra", {"box": RIGHT}), ("b", "gnu"))
    )
    assert pairs(contents) == [("a", "zebra"), ("b", "gnu")]
    assert contents.rows["box"].null_count == 2
    assert contents.remarks[0].startswith("1 further row of the same class")
    assert "the boxes of 1 photo are not used" in contents.remarks[1]


def test_boxes_are_photos_of_their_own() -> None:
    contents = resolved(
        table(
            ("a", "zebra", {"box": LEFT}),
            ("a", "gnu", {"box": RIGHT}),
            ("a", "gnu"),  # of the whole photo
            ("b", "gnu"),
            ("c", "gnu"),
            ("c", "zebra"),  # two labels and no box
            ("d", "gnu", {"box": LEFT}),
            ("d", "zebra", {"box": LEFT}),
        ),
        "crop",
    )
    assert pairs(contents) == [("a", "gnu"), ("a", "zebra"), ("b", "gnu")]
    assert contents.rows["box"].null_count == 1
    assert contents.remarks[0].startswith("1 row without a box left out")
    assert contents.remarks[1].startswith("2 photos or boxes with several labels left out")


@pytest.mark.parametrize("name", ["split", "group", "sequence"])
def test_photos_in_two_splits_or_groups_are_refused_with_all_of_them(name: str) -> None:
    rows = [
        (ref, "gnu", {name: value}) for value in ("one", "two") for ref in ("a", "b", "c", "d", "e")
    ]
    with pytest.raises(UserError) as error:
        resolved(table(*rows, ("f", "gnu", {name: "one"}), ("f", "gnu")))
    message = str(error.value)
    assert message.startswith(f"5 photos in more than one {name}: a is in one (boxes.csv, row 1)")
    assert "in two (boxes.csv, row 6)" in message
    assert "and 2 more" in message


def test_a_split_that_only_some_rows_give_is_that_of_the_photo() -> None:
    contents = resolved(table(("a", "gnu"), ("a", "gnu", {"split": "val"}), ("b", "gnu")))
    splits = dict(
        zip(contents.rows["ref"].to_pylist(), contents.rows["split"].to_pylist(), strict=True)
    )
    assert splits == {"a": "val", "b": None}


def test_nothing_left_and_unknown_rules_are_refused() -> None:
    with pytest.raises(UserError, match="leaves none"):
        resolved(table(("a", "zebra"), ("a", "gnu")))
    with pytest.raises(UserError, match=r"dataset.multi_label.*did you mean 'drop'"):
        resolved(table(("a", "zebra")), "drp")


def test_the_rows_kept_do_not_depend_on_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(0)
    rows = [(f"{rng.integers(30):02}", str(rng.integers(3))) for _ in range(60)]
    contents = table(*rows)
    expected = {rule: pairs(resolved(contents, rule)) for rule in RULES}
    shuffled = contents.with_rows(contents.rows.take(rng.permutation(60)))
    assert {rule: pairs(resolved(shuffled, rule)) for rule in RULES} == expected
