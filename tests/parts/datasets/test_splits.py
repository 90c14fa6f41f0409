"""Missing splits: what belongs together stays together, classes keep their shares."""

from collections import Counter
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.parts.datasets.base.long_tail import cut
from discl.parts.datasets.manifest.held_out import UNSEEN, RowPictures
from discl.parts.datasets.manifest.rows import Contents, RowBuilder
from discl.parts.datasets.manifest.splits import SplitRule, assigned
from tests.properties import examples

Row = dict[str, Any]


def contents(rows: list[Row]) -> Contents:
    builder = RowBuilder()
    for row in rows:
        values = {key: value for key, value in row.items() if key not in ("ref", "label")}
        builder.add(row["ref"], row["label"], **values)
    return Contents(builder.table())


def photos(count: int, label: str = "cat", **values: Any) -> list[Row]:
    """Photos of a class; a value may be a function of the photo's number."""
    return [
        {
            "ref": f"{label}/{i}.jpg",
            "label": label,
            **{key: value(i) if callable(value) else value for key, value in values.items()},
        }
        for i in range(count)
    ]


def split_of_refs(found: Contents) -> dict[str, str]:
    return dict(zip(found.rows["ref"].to_pylist(), found.rows["split"].to_pylist(), strict=True))


def named(digests: NDArray[np.bytes_]) -> RowPictures:
    """RowPictures of files."""
    return RowPictures(digests, np.ones(len(digests), bool))


def counts(found: Contents) -> Counter[str]:
    return Counter(found.rows["split"].to_pylist())


def straddling(found: Contents, column: str) -> set[str]:
    """Values of a column with photos in several splits."""
    pairs = set(zip(found.rows[column].to_pylist(), found.rows["split"].to_pylist(), strict=True))
    return {value for value, n in Counter(value for value, _ in pairs).items() if value and n > 1}


def test_without_groups_a_photo_goes_by_the_hash_of_its_name_in_any_order_of_the_rows() -> None:
    rows = photos(20) + photos(3, "gnu") + photos(2, "elk") + photos(1, "yak")
    found = split_of_refs(assigned(contents(rows), SplitRule()))
    refs = np.array([row["ref"] for row in rows])
    labels = np.array([0] * 20 + [1] * 3 + [2] * 2 + [3])
    val = cut(refs, labels, 0.15)
    assert {ref for ref, split in found.items() if split == "val"} == set(refs[val].tolist())
    assert Counter(found.values()) == {"train": 17, "val": 5, "test": 4}
    assert split_of_refs(assigned(contents(rows[::-1]), SplitRule())) == found


def test_given_splits_are_kept_and_a_photo_without_one_is_left_out_and_told() -> None:
    rows = [*photos(6, split="train"), *photos(4, "gnu", split="test")]
    rows += [*photos(2, "elk", split="val"), *photos(1, "yak")]
    found = assigned(contents(rows), SplitRule())
    assert counts(found) == {"train": 6, "test": 4, "val": 2}
    assert "1 photo(s) without a split left out, as others have one (yak/0.jpg)" in found.remarks


def test_photos_without_a_split_beside_a_given_test_are_train() -> None:
    found = assigned(contents([*photos(6), *photos(4, "gnu", split="test")]), SplitRule())
    assert counts(found) == {"train": 5, "val": 1, "test": 4}
    assert any("are train, as no other is" in remark for remark in found.remarks)


def test_sequences_over_given_splits_are_told() -> None:
    rows = photos(30, sequence=lambda i: f"s{i // 5}", split=lambda i: "val" if i < 7 else "train")
    (told,) = [r for r in assigned(contents(rows), SplitRule()).remarks if "as listed" in r]
    assert told.startswith("1 of 6 sequences have photos in more than one split, as listed (s1)")


def test_photos_that_are_added_move_few_others() -> None:
    before = split_of_refs(assigned(contents(photos(200)), SplitRule()))
    after = split_of_refs(assigned(contents(photos(210)), SplitRule()))
    assert sum(after[ref] != split for ref, split in before.items()) <= 4


def test_bursts_stay_whole_by_themselves_and_cameras_where_they_are_many() -> None:
    for column in ("sequence", "group"):
        values: Any = {column: lambda i: f"b{i // 4}"}
        found = assigned(contents(photos(120, **values)), SplitRule())
        assert not straddling(found, column)
        assert counts(found) == {"train": 88, "val": 16, "test": 16}
    assert any("val and test have groups that train has not" in r for r in found.remarks)


def test_two_cameras_are_too_few_to_cut_by_and_that_is_told() -> None:
    rows = photos(40, group=lambda i: f"camera {i % 2}")
    found = assigned(contents(rows), SplitRule())
    assert counts(found) == {"train": 28, "val": 6, "test": 6}
    assert any(
        remark.startswith("not cut by group, the 2 groups are too") for remark in found.remarks
    )
    forced = assigned(contents(rows), SplitRule(split_by="group"))
    assert not straddling(forced, "group")


def test_by_photo_on_request_and_that_bursts_straddle_is_told() -> None:
    found = assigned(
        contents(photos(60, sequence=lambda i: f"b{i // 6}")), SplitRule(split_by="photo")
    )
    assert straddling(found, "sequence")
    assert any("photos of one sequence are in more than one split" in r for r in found.remarks)


def test_a_rare_class_with_one_sequence_stays_in_train_and_is_named() -> None:
    rows = photos(60, sequence=lambda i: f"b{i // 4}") + photos(8, "lynx", sequence="only")
    found = assigned(contents(rows), SplitRule())
    lynxes = {split for ref, split in split_of_refs(found).items() if ref.startswith("lynx")}
    assert lynxes == {"train"}
    assert any("val has no photo of 1 class(es)" in r and "(lynx)" in r for r in found.remarks)


def test_cameras_of_many_classes_leave_each_class_near_its_share() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.dirichlet(np.ones(6), 60)  # of each camera
    rows = photos(3000, "photo", group=lambda i: f"c{i % 60}", sequence=lambda i: f"s{i % 60}")
    for i, row in enumerate(rows):
        row["label"] = f"class {rng.choice(6, p=kinds[i % 60])}"
    found = assigned(contents(rows), SplitRule())
    totals, largest = tolerances(rows)
    parts = Counter(
        zip(*(found.rows[name].to_pylist() for name in ("label", "split")), strict=True)
    )
    for label, count in totals.items():
        assert abs(parts[label, "val"] - 0.15 * count) <= largest[label] / 2
        assert abs(parts[label, "test"] - 0.15 * 0.85 * count) <= largest[label] / 2


def test_a_class_with_three_sequences_has_one_in_each_split() -> None:
    rows = photos(30, sequence=lambda i: f"b{i // 10}") + photos(90, "gnu")
    found = assigned(contents(rows), SplitRule())
    cats = Counter(s for ref, s in split_of_refs(found).items() if ref.startswith("cat"))
    assert cats == {"train": 10, "val": 10, "test": 10}


def test_crops_of_one_photo_and_equal_pictures_stay_together() -> None:
    rows = [
        {
            "ref": f"{i // 3}.jpg",
            "label": ("cat", "dog")[i % 2],
            "box": [0.1 * (i % 3), 0, 0.5, 0.5],
        }
        for i in range(90)
    ]
    assert not straddling(assigned(contents(rows), SplitRule()), "ref")
    pictures = np.array([f"{i % 20}" for i in range(80)], "S32")
    found = assigned(contents(photos(80)), SplitRule(), named(pictures))
    splits = np.array(found.rows["split"].to_pylist())
    assert all(len(set(splits[pictures == picture])) == 1 for picture in np.unique(pictures))
    assert set(splits) == {"train", "val", "test"}


def test_rows_of_a_table_are_cut_by_their_pictures_whatever_their_order() -> None:
    pictures = RowPictures(np.array([b"%032x" % i for i in range(40)]), np.zeros(40, bool))
    found = assigned(contents(photos(40)), SplitRule(), pictures)
    turned = assigned(contents(photos(40)), SplitRule(), pictures.of(np.arange(40)[::-1]))
    assert found.rows["split"].to_pylist() == turned.rows["split"].to_pylist()[::-1]


def test_splits_by_sequence_are_the_same_whatever_the_order_of_the_rows() -> None:
    rows = [
        {"ref": f"{i}.jpg", "label": ("lion", "Zebra")[i % 2], "sequence": f"s{i // 2}"}
        for i in range(1, 13)
    ]
    orders = [rows, rows[::-1], sorted(rows, key=lambda row: row["label"])]
    found = [split_of_refs(assigned(contents(order), SplitRule())) for order in orders]
    assert found[0] == found[1] == found[2]


def test_groups_are_held_out_by_name_by_folder_and_by_share() -> None:
    rows = photos(60, group=lambda i: f"c{i % 6}", sequence=lambda i: f"s{i % 30}")
    named = assigned(contents(rows), SplitRule(ood_groups=("c1", "c4")))
    assert counts(named)[UNSEEN] == 20
    assert any("20 photo(s) of 2 group(s) (c1, c4)" in remark for remark in named.remarks)
    shared = [assigned(contents(r), SplitRule(ood_groups=0.3)) for r in (rows, rows[::-1])]
    assert counts(shared[0])[UNSEEN] == 20
    assert split_of_refs(shared[0]) == split_of_refs(shared[1])
    folder = assigned(contents(rows + photos(9, "gnu")), SplitRule(ood_groups=("gnu",)))
    assert counts(folder)[UNSEEN] == 9


def test_a_sequence_over_the_edge_of_a_held_out_group_is_left_out() -> None:
    rows = photos(60, group=lambda i: f"c{i // 10}", sequence=lambda i: f"s{(i + 2) // 4}")
    found = assigned(contents(rows), SplitRule(ood_groups=("c1",)))
    assert not straddling(found, "sequence")
    assert any("photo(s) left out, whose sequence" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("rule", "rows", "says"),
    [
        (
            SplitRule(ood_groups=("c9",)),
            photos(4, group="c1"),
            "no group of the photos called 'c9'",
        ),
        (SplitRule(ood_groups=("c1",)), photos(4), "no photo has a group"),
        (SplitRule(ood_groups=0.2), photos(4, group="c1"), "1 group.s. to choose from"),
        (SplitRule(ood_groups=("c1",)), photos(4, group="c1"), "holds out every photo"),
        (
            SplitRule(ood_groups=("c1",)),
            photos(40, group=lambda i: f"c{i % 4}", sequence=lambda i: str(i // 8)),
            "seem to begin anew in each group",
        ),
        (SplitRule(split_by="group"), photos(4), "no photo has a group; set dataset.group_column"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(rule: SplitRule, rows: list[Row], says: str) -> None:
    with pytest.raises(UserError, match=says):
        assigned(contents(rows), rule)


@st.composite
def photo_sets(draw: st.DrawFn, one_class: bool) -> tuple[list[Row], Any]:
    """Rows with random classes, sequences and equal pictures; a class to a sequence on request."""
    count = draw(st.integers(1, 60))
    sequences = draw(st.lists(st.integers(-1, 12), min_size=count, max_size=count))
    classes = draw(st.lists(st.integers(0, 3), min_size=count, max_size=count))
    pictures = draw(st.lists(st.integers(-1, 40), min_size=count, max_size=count))
    rows = []
    for i, (sequence, label) in enumerate(zip(sequences, classes, strict=True)):
        name = f"class {sequence % 3 if one_class and sequence >= 0 else label}"
        rows.append(
            {
                "ref": f"{i}.jpg",
                "label": name,
                "sequence": f"s{sequence}" if sequence >= 0 else None,
            }
        )
    unique = [b"" if one_class or p < 0 else b"%d" % p for p in pictures]
    return rows, np.array(unique, "S32")


def tolerances(rows: list[Row]) -> tuple[Counter[str], Counter[str]]:
    """(photos, those of the largest sequence) of each class."""
    largest: Counter[str] = Counter()
    sizes = Counter((row["label"], row["sequence"] or row["ref"]) for row in rows)
    for (label, _), size in sizes.items():
        largest[label] = max(largest[label], size)
    return Counter(row["label"] for row in rows), largest


def cut_or_reject(rows: list[Row], share: float, pictures: Any = None) -> Contents:
    """The splits, of photos that suffice for a val."""
    try:
        return assigned(contents(rows), SplitRule(share, "auto"), pictures)
    except UserError:
        hypothesis.reject()


@examples(40)
@hypothesis.given(photo_sets(one_class=False), st.sampled_from([0.1, 0.15, 0.3]))
def test_no_sequence_and_no_equal_picture_straddles_splits(
    drawn: tuple[list[Row], Any], share: float
) -> None:
    rows, pictures = drawn
    found = cut_or_reject(rows, share, named(pictures))
    splits = found.rows["split"].to_pylist()
    assert len(splits) == len(rows)
    assert not straddling(found, "sequence")
    for picture in set(pictures.tolist()) - {b""}:
        assert len({s for s, p in zip(splits, pictures.tolist(), strict=True) if p == picture}) == 1
    in_train = {row["label"] for row, split in zip(rows, splits, strict=True) if split == "train"}
    assert in_train == {row["label"] for row in rows}


@examples(40)
@hypothesis.given(photo_sets(one_class=True), st.sampled_from([0.1, 0.15, 0.3]))
def test_the_share_of_a_class_is_off_by_at_most_its_largest_sequence(
    drawn: tuple[list[Row], Any], share: float
) -> None:
    rows, _ = drawn
    found = cut_or_reject(rows, share)
    by_split = Counter(
        (row["label"], split)
        for row, split in zip(rows, found.rows["split"].to_pylist(), strict=True)
    )
    total, largest = tolerances(rows)
    for label, count in total.items():
        val = by_split[label, "val"]
        assert abs(val - share * count) <= max(1, largest[label])
        rest = count - val
        assert abs(by_split[label, "test"] - share * rest) <= max(1, largest[label])


def test_beside_held_out_groups_the_others_are_in_every_split() -> None:
    rows = photos(120, group=lambda i: f"c{i % 12}")
    found = assigned(contents(rows), SplitRule(ood_groups=0.25))
    groups = {
        split: set(found.rows.filter(np.array(found.rows["split"]) == split)["group"].to_pylist())
        for split in ("train", "val", "test", UNSEEN)
    }
    assert groups["val"] | groups["test"] <= groups["train"]
    assert not groups[UNSEEN] & groups["train"]
    assert any("photos of one group are in train and in val" in r for r in found.remarks)


def test_a_split_for_which_nothing_is_left_is_told() -> None:
    bursts = [
        *photos(4, sequence=lambda i: f"a{i // 2}"),
        *photos(4, "dog", sequence=lambda i: f"b{i // 2}"),
    ]
    found = assigned(contents(bursts), SplitRule())
    assert counts(found) == {"train": 4, "val": 4}
    assert any("no photo for test, as the sequences" in remark for remark in found.remarks)
    (split,) = [decision.choice for decision in found.decisions if decision.what == "split"]
    assert split == "train: what is left; val: cut from train"
    by_photo = assigned(contents(bursts), SplitRule(split_by="photo"))
    assert counts(by_photo)["test"]
    assert not any("no photo for" in remark for remark in by_photo.remarks)
    with pytest.raises(UserError, match=r"no photo for val and test, as the photos .* three of"):
        assigned(contents([*photos(1), *photos(1, "dog")]), SplitRule())


def test_groups_that_cannot_come_near_the_shares_are_told_with_the_way_out() -> None:
    places = ["ridge"] * 311 + ["river"] * 169 + ["night"] * 120
    rows = photos(600, group=lambda i: places[i])
    found = assigned(contents(rows), SplitRule(split_by="group"))
    (told,) = [each for each in found.remarks if "far from the shares asked for" in each]
    for split, count in counts(found).items():
        assert f"{split} {count} photos ({count / 600:.0%}, 1 group)" in told
    assert "15% of each class was wanted for val and test" in told
    assert "training sees a single group" in told
    assert "dataset.split_by=photo" in told
    assert "column split" in told
    assert not any("cut from train" in remark for remark in found.remarks)
    many = assigned(contents(photos(600, group=lambda i: f"c{i % 40}")), SplitRule())
    assert not any("far from" in remark for remark in many.remarks)


def test_a_share_of_groups_that_is_another_share_of_the_photos_is_told() -> None:
    places = ["Ridge-1"] * 311 + ["River-2"] * 169 + ["Night-3"] * 120
    rows = photos(600, group=lambda i: places[i])
    found = assigned(contents(rows), SplitRule(ood_groups=0.2))
    held = counts(found)[UNSEEN]
    (told,) = [each for each in found.remarks if "is a share of the groups" in each]
    assert f"holds out {held / 600:.0%} of the photos" in told
    assert 'such as dataset.ood_groups=["Night-3"] with 120 photos (20%)' in told
    alike = assigned(contents(photos(60, group=lambda i: f"c{i % 6}")), SplitRule(ood_groups=0.2))
    assert not any("is a share of the groups" in remark for remark in alike.remarks)
