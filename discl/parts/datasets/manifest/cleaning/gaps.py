"""What is missing in a manifest: rows without a label, a group, a sequence or a split."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.text import counted
from discl.parts.datasets.manifest.cleaning.spelling import spelling_key, tidy
from discl.parts.datasets.manifest.columns import (
    Coded,
    by_split,
    coded,
    place,
    replaced,
    some,
)
from discl.parts.datasets.manifest.rows import Contents
from discl.parts.datasets.manifest.usual_names import MISSING, is_missing

if TYPE_CHECKING:
    import pyarrow as pa

MOST_COMPARED = 100_000  # distinct groups or sequences that are looked at one by one
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
# a camera or a sequence of this name is none, while a class may be
_UNKNOWN = re.compile(r"(.* : )?(unknown|unk|unspecified|undetermined|not recorded)", re.IGNORECASE)
# a folder's name is chosen, an empty cell happens: folders are only missing by what programs write
_MISSING_FOLDERS = frozenset(["nan", "-nan", "null", "<na>", "#n/a", "?", "-", "--", ""])
_READS_AS_NONE = frozenset(
    ["unlabeled", "unlabelled", "unlabeled data", "no label", "not labeled", "unannotated", "todo"]
)


def labelled(contents: Contents, not_missing: Collection[str]) -> Contents:
    """Contents without the rows that have no label; raises UserError where none has one."""
    rows = contents.rows
    labels = coded(rows["label"])
    is_gap = np.array([*_label_gaps(labels, contents.names, not_missing), True])
    in_folders = np.asarray(rows["source"].is_null())
    folder_gaps = np.array([*(value.lower() in _MISSING_FOLDERS for value in labels.values), True])
    folder_gaps &= is_gap
    gap = np.where(in_folders, folder_gaps[labels.codes], is_gap[labels.codes])
    if not gap.any():
        return contents
    if gap.all():
        raise UserError(
            f"no photo has a label ({counted(len(gap), 'photo')}, the first {place(rows, 0)}); name"
            " the column that holds them: --set dataset.label_column=NAME"
        )
    contents, gap = _without_unlabelled_splits(contents, gap)
    if not gap.any():
        return contents
    rows = contents.rows
    written = _as_written(coded(rows["label"]), gap)
    where = by_split(rows, gap)
    first = place(rows, int(gap.argmax()))
    words = sorted(text for text in written if text and text.lower() in ("none", "na", "n/a"))
    way_out = f"; if {words[0]} is a class: dataset.not_missing = {words}" if words else ""
    remark = (
        f"{counted(int(gap.sum()), 'row')} without a label left out"
        f" ({', '.join(filter(None, [where, _told(written)]))}; first: {first}){way_out}"
    )
    return contents.with_rows(rows.filter(~gap), remark)


def _label_gaps(
    labels: Coded, names: Sequence[str] | None, not_missing: Collection[str]
) -> Iterable[bool]:
    """Whether each distinct label says that there is none; `-1` does beside other numbers."""
    real = {*(names or ()), *(tidy(value) for value in not_missing)}
    minus_one = names is not None or _has_numbers_from_0(labels.values)
    for value in labels.values:
        yield value not in real and (is_missing(value) or (value == "-1" and minus_one))


def _has_numbers_from_0(values: Iterable[str]) -> bool:
    """Whether all values are numbers from 0 up, beside -1 and what is missing."""
    others = [value for value in values if value != "-1" and not is_missing(value)]
    numbers = all(NUMBER.fullmatch(value) and float(value) >= 0 for value in others)
    return len(others) > 1 and numbers  # -1 and 1 are no and yes


def _without_unlabelled_splits(
    contents: Contents, gap: NDArray[np.bool_]
) -> tuple[Contents, NDArray[np.bool_]]:
    """Contents without the splits in which no row has a label, and what is left of `gap` [n]."""
    splits = coded(contents.rows["split"])
    codes = splits.codes + 1
    sizes = np.bincount(codes, minlength=len(splits.values) + 1)
    gaps = np.bincount(codes[gap], minlength=len(splits.values) + 1)
    empty = np.flatnonzero((gaps == sizes) & (sizes > 0))
    empty = empty[empty > 0]  # rows without a split are no split
    if not len(empty):
        return contents, gap
    remarks = [
        f"split {splits.values[code - 1]} has no labels ({counted(int(sizes[code]), 'row')}) and is"
        " left out"
        for code in empty.tolist()
    ]
    kept = ~np.isin(codes, empty)
    return contents.with_rows(contents.rows.filter(kept), *remarks), gap[kept]


def without_gaps(contents: Contents, column: str, not_missing: Collection[str]) -> Contents:
    """Contents whose groups, sequences or splits are null where none is given."""
    rows = contents.rows
    found = coded(rows[column])
    real = [tidy(value) for value in not_missing]
    gaps = _missing_values(found.distinct, real)
    if column != "split" and len(found) <= MOST_COMPARED:
        minus_one = _has_numbers_from_0(
            value for value in found.values if not _UNKNOWN.fullmatch(value)
        )
        gaps = gaps | np.array(
            [
                value not in real
                and (bool(_UNKNOWN.fullmatch(value)) or (value == "-1" and minus_one))
                for value in found.values
            ],
            bool,
        )
    missing = np.array([*gaps, True])[found.codes]
    remarks = []
    if missing.any() and not missing.all():
        rest = {
            "group": "they form no group, and count in no worst group",
            "sequence": "each counts as a sequence of its own",
            "split": "they are in no split that the data names",
        }[column]
        written = _told(_as_written(found, missing))
        remarks.append(
            f"{counted(int(missing.sum()), 'row')} without a {column} ({written}): {rest}"
        )
    if gaps.any():
        found = Coded(found.distinct, np.where(missing, -1, found.codes))
        rows = replaced(rows, column, found.column())
    return contents.with_rows(rows, *remarks)


def _missing_values(distinct: pa.Array, real: Collection[str]) -> NDArray[np.bool_]:
    """Whether each text [v] says that there is nothing, except those that are `real` names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    gaps = pc.is_in(pc.utf8_lower(distinct), pa.array(sorted(MISSING)))
    named = pc.is_in(distinct, pa.array(sorted(real), pa.string()))
    return np.asarray(pc.and_not(gaps, named))


def _as_written(column: Coded, mask: NDArray[np.bool_]) -> dict[str, int]:
    """How often each way to say "nothing" stands in the rows of a mask [n]; "" = empty."""
    counts: dict[str, int] = defaultdict(int)
    codes, rows = np.unique(column.codes[mask], return_counts=True)
    for code, count in zip(codes.tolist(), rows.tolist(), strict=True):
        counts["" if code < 0 else column.values[code]] += count
    return dict(counts)


def _told(written: Mapping[str, int]) -> str:
    ordered = sorted(written.items(), key=lambda pair: (-pair[1], pair[0]))
    return some(f"{text or 'empty'} {count:,}" for text, count in ordered)


def doubtful_labels(contents: Contents) -> Iterable[str]:
    """Sentences about classes that may be none."""
    labels = coded(contents.rows["label"])
    for value, count in zip(labels.values, labels.counts, strict=True):
        key = spelling_key(value)
        if key in _READS_AS_NONE or is_missing(value):
            yield (
                f"{value} ({counted(count, 'row')}) is taken for a class; if it says that there is"
                f" none: dataset.drop_classes = [{value!r}]"
            )
    yield from _equal_numbers(labels)
    splits = coded(contents.rows["split"])
    if len(labels.values) < 3:
        return
    for code, split in enumerate(splits.values):
        found = np.unique(labels.codes[splits.codes == code])
        if len(found) == 1 and (splits.codes == code).sum() >= 20:
            yield (
                f"every row of split {split} has the label {labels.values[found[0]]}: a placeholder"
                " for labels that were not published?"
            )


def _equal_numbers(labels: Coded) -> Iterable[str]:
    """The sentence about numbers that are written in several ways, such as 1 and 01."""
    spellings: dict[float, list[str]] = defaultdict(list)
    for value in labels.values:
        if NUMBER.fullmatch(value):
            spellings[float(value)].append(value)
    several = [" and ".join(sorted(alike)) for alike in spellings.values() if len(alike) > 1]
    if several:
        yield (
            f"{some(sorted(several))} are classes of their own, as labels are read as text; if they"
            " are one number, write them alike"
        )
