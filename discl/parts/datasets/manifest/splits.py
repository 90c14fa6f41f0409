"""Splits of a manifest: given ones stay, groups are held out on request, missing ones are cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints
from discl.core.text import counted, listed
from discl.files.contents import Digests
from discl.parts.datasets.base.cutting import (
    Hashes,
    cut_units,
    hashes_of,
    is_far,
    shortfalls,
    units_of,
)
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.columns import Coded, coded
from discl.parts.datasets.manifest.held_out import UNSEEN, RowPictures, with_held_out, with_split
from discl.parts.datasets.manifest.rows import Contents, Decision

SPLIT_BY = ("auto", "sequence", "group", "photo")
_BATCH = 100_000  # references in memory as Python objects
_ODD = np.uint64(0x9E3779B97F4A7C15)  # a multiplier that spreads the bits of what it multiplies


@dataclass(frozen=True)
class SplitRule:
    """What the user says about splits."""

    share: float = 0.15  # of each class, for val and again for test
    split_by: str = "auto"  # one of `SPLIT_BY`
    ood_groups: tuple[str, ...] | float = ()  # names, or a share of the groups


def is_complete(contents: Contents) -> bool:
    """Whether no split is missing, so that `assigned` needs no pictures."""
    given = set(coded(contents.rows["split"]).values)
    return bool(given) and not _missing_of(given)


def assigned(contents: Contents, rule: SplitRule, pictures: RowPictures | None = None) -> Contents:
    """Contents with a split in every row.

    Given splits are kept. Where val or test is missing it is cut from train, `rule.share` of each
    class by the hash of the names, so that the order of the rows does not count and photos that are
    added move few others. Rows of one photo, of equal `pictures`, and of one sequence or group
    where `rule` says so, stay together. No split takes more of a class than its share, rounded up,
    and the largest sequence (or group) of the class; nor less than its share without that, where
    sequences (or groups) have one class each. Every class stays in train.

    Raises UserError where val is missing and nothing can be cut for it.
    """
    is_given = bool(coded(contents.rows["split"]).values)
    has = "given" if is_given else "what is left"
    contents, pictures = _completed(contents, pictures)
    contents, pictures = with_held_out(contents, rule.ood_groups, pictures)
    given = set(coded(contents.rows["split"]).values)
    missing = _missing_of(given)
    if missing and "train" in given:
        contents = _cut(contents, rule, missing, pictures)
    present = set(coded(contents.rows["split"]).values)
    named: dict[str, list[str]] = {has: [], "cut from train": []}
    for name in dict.fromkeys(["train", "val", "test", *sorted(present)]):
        if name in present and name != UNSEEN:
            named["cut from train" if name in missing else has].append(name)
    told = "; ".join(f"{listed(names)}: {how}" for how, names in named.items() if names)
    if given - {"train", UNSEEN}:
        contents = contents.with_rows(contents.rows, *_straddling(contents))
    return contents.decided(
        Decision("split", told, "as listed" if is_given else "no photo has one")
    )


def _missing_of(given: set[str]) -> list[str]:
    wanted = ["val"] if "id_test" in given else ["val", "test"]
    return [name for name in wanted if name not in given]


# -- given splits


def _completed(
    contents: Contents, pictures: RowPictures | None
) -> tuple[Contents, RowPictures | None]:
    """Contents in which rows without a split are train, or left out where others have train."""
    splits = coded(contents.rows["split"])
    without = splits.codes < 0
    if not without.any():
        return contents, pictures
    if "train" in splits.values:
        told = examples(contents.rows["ref"].filter(without).to_pylist())
        remark = (
            f"{int(without.sum())} photo(s) without a split left out, as others have one ({told})"
        )
        left = None if pictures is None else pictures.of(~without)
        return contents.with_rows(contents.rows.filter(~without), remark), left
    completed = with_split(contents, "train", without)
    if without.all():
        return completed, pictures
    remark = f"{int(without.sum())} photo(s) without a split are train, as no other is"
    return completed.with_rows(completed.rows, remark), pictures


def _straddling(contents: Contents) -> list[str]:
    """A sentence where sequences have photos in several splits, as given."""
    sequences = coded(contents.rows["sequence"])
    splits = coded(contents.rows["split"]).codes
    known = sequences.codes >= 0
    several = np.flatnonzero(_others(sequences.codes[known], splits[known]) > 1)
    if not len(several):
        return []
    names = examples([sequences.values[code] for code in several.tolist()])
    return [
        f"{len(several)} of {len(sequences)} sequences have photos in more than one split, as"
        f" listed ({names}): photos of one sequence look alike, so that test results may be too"
        " good"
    ]


# -- missing splits


def _cut(
    contents: Contents, rule: SplitRule, missing: list[str], pictures: RowPictures | None
) -> Contents:
    """Contents with the missing splits cut from train."""
    by, told = _unit_column(contents, rule)
    found, remarks = _with_cut(contents, rule.share, missing, by, pictures)
    if by == "group" and rule.split_by == "auto":
        problem = _too_coarse(contents, found, rule.share)
        if problem:
            told = (
                f"not cut by group, {problem}: photos of one group are in train and in"
                f" {' and '.join(missing)}; dataset.split_by=group cuts by it nevertheless"
            )
            by = ""
            found, remarks = _with_cut(contents, rule.share, missing, "", pictures)
    kinds = {"sequence": ", sequences whole", "group": ", groups whole", "": ""}
    none = [name for name, rows in found.items() if not rows.any()]
    if cut := [name for name in missing if name not in none]:
        remarks.insert(
            0,
            _far_off(contents, found, rule.share, by)
            or f"cut from train: {' and '.join(cut)}, {rule.share:.0%} of each class, by the hash"
            f" of the names{kinds[by]}",
        )
    if none:
        what, way_out = "photos", "three of a class are the least for train, val and test"
        if pictures is not None and len(np.unique(pictures.digests)) < len(
            coded(contents.rows["ref"])
        ):
            what = "different photos (equal ones stay together)"
        if by:
            what, way_out = f"{by}s", "dataset.split_by=photo cuts photo by photo"
        nothing = (
            f"no photo for {' and '.join(none)}, as the {what} of each class are too few to cut;"
            f" {way_out}"
        )
        if "val" in none:
            raise UserError(nothing)
        remarks.append(nothing)
    for name, rows in found.items():
        contents = with_split(contents, name, rows)
    return contents.with_rows(contents.rows, *([told] if told else []), *remarks)


def _far_off(contents: Contents, found: dict[str, NDArray[np.bool_]], share: float, by: str) -> str:
    """What was wanted of each split and what it came to, "" where whole units come near it."""
    splits = coded(contents.rows["split"])
    left = splits.codes == splits.values.index("train")
    photos, is_far_off = int(left.sum()), False
    for rows in found.values():
        is_far_off |= is_far(int(rows.sum()), share * int(left.sum()))
        left &= ~rows
    if not by or not is_far_off:
        return ""
    units = coded(contents.rows[by])
    of = {
        name: len(np.unique(units.codes[rows & (units.codes >= 0)]))
        for name, rows in {"train": left, **found}.items()
    }
    came_to = listed(
        f"{name} {int(rows.sum()):,} photos ({rows.sum() / photos:.0%}, {counted(of[name], by)})"
        for name, rows in {"train": left, **found}.items()
    )
    alone = f"; training sees a single {by}" if of["train"] == 1 else ""
    return (
        f"far from the shares asked for: {share:.0%} of each class was wanted for"
        f" {' and '.join(found)}, and the {len(units)} {by}s, kept whole, come to"
        f" {came_to}{alone}. dataset.split_by=photo cuts photo by photo, near the shares, but then"
        f" photos of one {by} are in train and in test, and results are too good for new {by}s;"
        " or give splits of your own in a column split of the list"
    )


def _unit_column(contents: Contents, rule: SplitRule) -> tuple[str, str]:
    """(the column whose values stay together or "", a sentence about it or "")."""
    has = {
        name: contents.rows[name].null_count < len(contents.rows) for name in ("sequence", "group")
    }
    if rule.split_by in ("sequence", "group"):
        if not has[rule.split_by]:
            raise UserError(
                f"dataset.split_by = {rule.split_by!r}: no photo has a {rule.split_by}; set"
                f" dataset.{rule.split_by}_column"
            )
        return rule.split_by, ""
    if rule.split_by == "photo":
        known = [name for name in has if has[name]]
        if not known:
            return "", ""
        return "", (
            f"cut photo by photo as dataset.split_by says: photos of one {known[0]} are in more"
            " than one split"
        )
    if has["sequence"]:
        return "sequence", _reused_numbers(contents)
    if has["group"] and rule.ood_groups:
        return "", (
            "cut photo by photo, as groups are held out and no sequences are known: photos of one"
            " group are in train and in val; dataset.split_by=group keeps groups whole"
        )
    if has["group"]:
        return "group", (
            "cut by group, as no sequences are known: val and test have groups that train has not;"
            " dataset.split_by=photo cuts photo by photo"
        )
    return "", ""


def _reused_numbers(contents: Contents) -> str:
    """A sentence where most sequences have photos of several groups, else ""."""
    groups, sequences = (coded(contents.rows[name]).codes for name in ("group", "sequence"))
    both = (groups >= 0) & (sequences >= 0)
    numbers = _others(sequences[both], groups[both])
    numbers = numbers[numbers > 0]
    several = int((numbers > 1).sum())
    if len(numbers) < 2 or 2 * several <= len(numbers):
        return ""
    return (
        f"{several} of {len(numbers)} sequences have photos of several groups: if their numbers"
        " begin anew in each group, write the group before each for a finer cut"
    )


def _with_cut(
    contents: Contents,
    share: float,
    missing: list[str],
    by: str,
    pictures: RowPictures | None,
) -> tuple[dict[str, NDArray[np.bool_]], list[str]]:
    """(the rows [n] of each missing split, sentences about classes that could not be cut)."""
    labels, splits = _by_name(coded(contents.rows["label"])), coded(contents.rows["split"])
    together = [coded(contents.rows[name]).codes for name in ("ref", *([by] if by else []))]
    if pictures is not None:
        together.append(_equal_pictures(pictures.digests))
    units = units_of(together)
    elsewhere = np.zeros(int(units.max(initial=-1)) + 1, bool)
    elsewhere[units[splits.codes != splits.values.index("train")]] = True
    # a unit with photos in another split stays where it is
    left = np.flatnonzero(~elsewhere[units])
    hashes = _hashes(contents, pictures)[left]
    found = {}
    remarks = []
    for name in missing:
        taken = cut_units(hashes, labels.codes[left], units[left], share)
        if by and (short := shortfalls(labels.codes[left], taken, share)):
            classes = [labels.values[label] for label in short]
            remarks.append(
                f"{name} has no photo of {len(classes)} class(es) whose {by}s are too few or too"
                f" large to cut ({examples(classes)}): they stay in train"
            )
        found[name] = np.zeros(len(units), bool)
        found[name][left[taken]] = True
        left, hashes = left[~taken], hashes[~taken]
    return found, remarks


def _equal_pictures(digests: Digests) -> Ints:
    """A number [n] for each picture that occurs several times; -1 for the others, and for none."""
    import pyarrow as pa

    width = -(-digests.dtype.itemsize // 8)
    words = digests.astype(f"S{8 * width}", copy=False).view(np.uint64).reshape(-1, width)
    numbers = np.zeros(len(digests), np.uint64)
    for word in range(width):
        numbers = (numbers ^ words[:, word]) * _ODD
        numbers ^= numbers >> np.uint64(29)
    ordered = np.sort(numbers)
    several = np.isin(numbers, ordered[1:][ordered[1:] == ordered[:-1]]) & (digests != b"")
    codes = np.full(len(digests), -1, np.int64)
    codes[several] = coded(pa.chunked_array([pa.array(digests[several])])).codes
    return codes


def _by_name(labels: Coded) -> Coded:
    """Labels numbered by their names, so that the order of the rows does not count."""
    order = np.argsort(np.array(labels.values, np.object_), kind="stable")
    number = np.empty(len(labels), np.int64)
    number[order] = np.arange(len(labels))
    return Coded(labels.distinct.take(order), number[labels.codes])


def _hashes(contents: Contents, pictures: RowPictures | None) -> Hashes:
    """Of each row's name, [n]; of its picture where the name is a row in a table."""
    import pyarrow as pa

    refs = contents.rows["ref"].cast(pa.binary())
    hashes = [
        hashes_of(refs.slice(start, _BATCH).to_pylist())
        for start in range(0, len(contents.rows), _BATCH)
    ]
    joined = np.concatenate(hashes)
    if pictures is not None and not pictures.named.all():
        joined[~pictures.named] = hashes_of(pictures.digests[~pictures.named].tolist())
    return joined


def _too_coarse(contents: Contents, found: dict[str, NDArray[np.bool_]], share: float) -> str:
    """Why a cut by group is no good split, "" where it is."""
    groups, labels = coded(contents.rows["group"]), coded(contents.rows["label"])
    splits = coded(contents.rows["split"])
    cut_from = splits.codes == splits.values.index("train")
    large = np.flatnonzero(np.bincount(labels.codes[cut_from], minlength=len(labels)) * share >= 1)
    for name, rows in found.items():
        if not share / 2 <= rows.sum() / cut_from.sum() <= 2 * share:
            return f"the {len(groups)} groups are too few or too large for {share:.0%} in {name}"
        absent = np.setdiff1d(large, labels.codes[rows])
        if 2 * len(absent) > len(large):
            return f"{len(absent)} of {len(large)} classes would have no photo in {name}"
    return ""


def _others(codes: Ints, others: Ints) -> Ints:
    """How many different `others` [n] stand beside each of the codes [n]."""
    width = int(others.max(initial=0)) + 1
    return np.bincount(np.unique(codes * width + others) // width)
