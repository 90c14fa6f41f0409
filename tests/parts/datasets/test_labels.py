"""Labels, groups and gaps of a manifest, on rows made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from discl.core.errors import UserError
from discl.parts.datasets.manifest.cleaning.spelling import spelling_key, tidy
from discl.parts.datasets.manifest.labels import cleaned, numbered, without_classes
from discl.parts.datasets.manifest.rows import Contents, RowBuilder


def listed(
    labels: Sequence[str | None], names: tuple[str, ...] | None = None, **columns: list[Any]
) -> Contents:
    """A table labels.csv with a photo for each label."""
    builder = RowBuilder()
    refs = [f"{n:02}.jpg" for n in range(len(labels))]
    columns = {
        "source": ["labels.csv"] * len(labels),
        "row": list(range(1, len(labels) + 1)),
        **columns,
    }
    builder.extend(refs, label=[*labels], **columns)
    return Contents(builder.table(), names)


def column(contents: Contents, name: str = "label") -> list[Any]:
    values: list[Any] = contents.rows[name].to_pylist()
    return values


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (" zebra\t", "zebra"),
        ("red  fox", "red fox"),
        ("ga\u0308nsegeier", "gänsegeier"),
        ("zebra\u200b", "zebra"),
        ("\ufeffzebra", "zebra"),
        ("red\u00a0fox", "red fox"),
        ("cats &amp; dogs", "cats & dogs"),
        ("Cooper&#39;s hawk", "Cooper's hawk"),
        ("'zebra'", "zebra"),
        ("R&B;", "R&B;"),
        ("zebra\x00", "zebra"),
    ],
)
def test_a_name_is_read_as_it_is_meant(written: str, meant: str) -> None:
    assert tidy(written) == meant
    assert tidy(meant) == meant
    assert column(cleaned(listed([written, "gnu"])))[0] == meant


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Zebra", "zebra", True),
        ("red_fox", "Red-Fox", True),
        ("red\u2010fox", "red-fox", True),
        ("Ｚｅｂｒａ", "zebra", True),
        ("Straße", "STRASSE", True),
        ("blackbird", "black bird", False),
        ("A", "a", False),
        ("-1", "1", False),
        ("1.5", "1-5", False),
        ("_", "-", False),
        ("", "_", False),
    ],
)
def test_names_are_alike_by_case_blanks_hyphens_and_form(one: str, other: str, alike: bool) -> None:
    assert (spelling_key(one) == spelling_key(other)) is alike


def test_the_most_frequent_spelling_of_a_class_is_taken_in_any_order_of_the_rows() -> None:
    labels = ["zebra", "Zebra", "zebra ", "GNU", "gnu", "GiantPanda", "giant_panda", "giant_panda"]
    contents = cleaned(listed(labels))
    assert set(column(contents)) == {"zebra", "GNU", "giant_panda"}
    assert set(column(cleaned(listed(labels[::-1])))) == {"zebra", "GNU", "giant_panda"}
    blanks, remark = contents.remarks
    assert "'zebra ' (1) is 'zebra'" in blanks
    assert "differ only in case" in remark
    assert "'zebra' (2), 'Zebra' (1)" in remark


def test_a_listed_class_gives_the_spelling() -> None:
    contents = cleaned(listed(["zebra", "zebra", "Gnu"], names=("Gnu", "Zebra")))
    assert column(contents) == ["Zebra", "Zebra", "Gnu"]
    assert contents.names == ("Gnu", "Zebra")


def test_two_numbers_of_one_name_are_refused_where_both_have_photos() -> None:
    names = ("zebra", "Zebra", "gnu")
    with pytest.raises(UserError, match=r"0 'zebra' and 1 'Zebra' have numbers of their own"):
        cleaned(listed(["zebra", "Zebra", "gnu"], names))
    assert cleaned(listed(["Zebra", "gnu"], names)).names == ("Zebra", "gnu")


def test_rows_without_a_label_are_left_out_and_counted_by_split() -> None:
    labels = ["zebra", "", "NaN", None, "NA", "gnu", "zebra"]
    splits = ["train", "train", "train", "val", "train", "train", "val"]
    contents = cleaned(listed(labels, split=splits))
    assert column(contents) == ["zebra", "gnu", "zebra"]
    (remark,) = contents.remarks
    assert remark.startswith("4 rows without a label left out (train 3, val 1, empty 2, NA 1")
    assert "labels.csv, row 2" in remark
    assert "dataset.not_missing = ['NA']" in remark


def test_a_class_may_be_called_none_where_it_is_listed_or_a_folder() -> None:
    labels = ["None", "gnu", "NA"]
    assert column(cleaned(listed(labels))) == ["gnu"]
    assert column(cleaned(listed(labels), not_missing=["NA"])) == ["gnu", "NA"]
    assert column(cleaned(listed(labels, names=("gnu", "None")))) == ["None", "gnu"]
    folders = cleaned(listed([*labels, "nan"], source=[None] * 4, row=[None] * 4))
    assert column(folders) == labels
    assert any("drop_classes = ['None']" in remark for remark in folders.remarks)


def test_a_split_without_any_label_is_left_out() -> None:
    for nothing in (None, "", "-1"):
        contents = cleaned(
            listed(["0", "1", nothing, nothing], split=["train", "train", "test", "test"])
        )
        assert column(contents) == ["0", "1"]
        assert contents.remarks == ("split test has no labels (2 rows) and is left out",)


def test_minus_one_is_a_label_only_among_names_and_negative_numbers() -> None:
    assert column(cleaned(listed(["-1", "0", "1"]))) == ["0", "1"]
    assert column(cleaned(listed(["-1", "-2", "1"]))) == ["-1", "-2", "1"]
    assert column(cleaned(listed(["-1", "low", "high"]))) == ["-1", "low", "high"]


def test_no_label_at_all_is_an_error_with_the_way_out() -> None:
    with pytest.raises(UserError, match=r"no photo has a label .*dataset.label_column"):
        cleaned(listed(["", None]))


def test_whole_numbers_that_a_gap_made_decimal_are_whole() -> None:
    contents = cleaned(listed(["1.0", "2.0", "", "10.0"]))
    assert column(contents) == ["1", "2", "10"]
    assert column(cleaned(listed(["1.0", "1.5"]))) == ["1.0", "1.5"]


def test_numbers_keep_their_order_and_names_that_of_their_digits() -> None:
    assert numbered(listed(["10", "9", "-1", "1.5"])).names == ("-1", "1.5", "9", "10")
    (remark,) = cleaned(listed(["01", "1", "2"])).remarks
    assert remark.startswith("01 and 1 are classes of their own")
    assert numbered(listed(["zebra", "c10", "c2", "7"])).names == ("7", "c2", "c10", "zebra")


def test_numbers_of_the_list_are_kept_without_classes_that_have_no_photo() -> None:
    contents = numbered(listed(["ant", "zebra", "new"], names=("zebra", "yak", "ant")))
    assert contents.names == ("zebra", "ant", "new")
    assert "1 class of 3 have no photo" in contents.remarks[0]
    assert "1 label not among the 3 listed classes" in contents.remarks[1]


def test_names_that_are_one_without_blanks_around_them_are_told() -> None:
    told = cleaned(listed(["Deer ", *["Deer"] * 3, " bird", "fox"])).remarks
    assert told == (
        "class names with blanks or signs around them are the same without: 'Deer ' (1) is 'Deer'",
    )


def test_a_missing_group_is_no_group() -> None:
    groups = ["C1", "c1 ", "NA", "", None, "C2"]
    contents = cleaned(listed(["gnu"] * 6, group=groups, sequence=["s", "-", *["s"] * 4]))
    assert column(contents, "group") == ["C1", "C1", None, None, None, "C2"]
    assert column(contents, "sequence") == ["s", None, "s", "s", "s", "s"]
    told = " ".join(contents.remarks)
    unknown = cleaned(
        listed(
            ["gnu"] * 4, group=["1", "2", "-1", "unknown"], sequence=["d : unknown"] * 2 + ["s"] * 2
        )
    )
    assert column(unknown, "group") == ["1", "2", None, None]
    assert column(unknown, "sequence") == [None, None, "s", "s"]
    assert "3 rows without a group (empty 2, NA 1): they form no group" in told
    assert "groups that differ only in case, blanks, hyphens or Unicode form are one: 'C1'" in told
    assert "1 row without a sequence (- 1)" in told


def test_dropped_classes_are_named_by_any_spelling_and_must_be_there() -> None:
    contents = listed(["zebra", "Human", "empty", "zebra"])
    assert column(without_classes(contents, ["human", "EMPTY"])) == ["zebra", "zebra"]
    with pytest.raises(UserError, match="did you mean 'Human'"):
        without_classes(contents, ["humans"])
    with pytest.raises(UserError, match="no photo is left"):
        without_classes(contents, ["zebra", "human", "empty"])


def test_labels_that_say_nothing_are_pointed_out() -> None:
    labels = ["zebra", "gnu", "ibex", "unlabelled", *["0"] * 20]
    contents = cleaned(listed(labels, split=[*["train"] * 4, *["test"] * 20]))
    told = " ".join(contents.remarks)
    assert "unlabelled (1 row) is taken for a class" in told
    assert "every row of split test has the label 0" in told
