"""Labels, groups and sequences of a manifest: trimmed, merged over spellings, gaps left out."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError, unknown
from discl.parts.datasets.manifest.columns import (
    Coded,
    by_split,
    coded,
    counted,
    place,
    replaced,
    some,
)
from discl.parts.datasets.manifest.rows import Contents
from discl.parts.datasets.manifest.spelling import are_tidy, camel_key, spelling_key, tidy
from discl.parts.datasets.manifest.usual_names import MISSING, is_missing

if TYPE_CHECKING:
    import pyarrow as pa

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_WHOLE_AS_DECIMAL = re.compile(r"[+-]?\d+\.0+")
_SEPARATORS = ("|", ";", ",")
# a folder's name is chosen, an empty cell happens: folders are only missing by what programs write
_MISSING_FOLDERS = frozenset(["nan", "-nan", "null", "<na>", "#n/a", "?", "-", "--", ""])
_READS_AS_NONE = frozenset(
    ["unlabeled", "unlabelled", "unlabeled data", "no label", "not labeled", "unannotated", "todo"]
)
_MOST_MERGED = 100_000  # distinct groups or sequences whose spellings are compared


def cleaned(contents: Contents, not_missing: Collection[str] = ()) -> Contents:
    """Contents whose labels are names of classes, one spelling each, on every row.

    Cells with several labels (`zebra|gnu`, `['zebra', 'gnu']`) become a row for each. Rows without
    a label are left out and counted; a missing group, sequence or split is null. `not_missing`:
    values that are names although they read as if nothing was there, such as a class `None`; names
    of `contents.names` and of folders are so by themselves.

    Raises UserError where no row has a label, or where two spellings of one name have numbers of
    their own in `contents.names`, and photos both.
    """
    contents = _tidied(contents)
    contents = _separated(contents)
    contents = _whole_numbers(contents)
    contents = _labelled(contents, not_missing)
    contents = _one_spelling(contents)
    for column in ("group", "sequence"):
        contents = _without_gaps(contents, column, not_missing)
    contents = _without_gaps(contents, "split", ())
    return contents.with_rows(contents.rows, *_doubtful_labels(contents))


def without_classes(contents: Contents, classes: Sequence[str]) -> Contents:
    """Contents without the rows of some classes (`dataset.drop_classes`).

    Raises UserError for a class that there is not, and where none is left.
    """
    if not classes:
        return contents
    labels = coded(contents.rows["label"])
    of_key = {spelling_key(tidy(label)): code for code, label in enumerate(labels.values)}
    declared = {spelling_key(tidy(name)) for name in contents.names or ()}
    dropped = []
    for name in classes:
        key = spelling_key(tidy(name))
        if key in of_key:
            dropped.append(of_key[key])
        elif key not in declared:
            raise unknown("class to drop (dataset.drop_classes)", name, labels.values)
    kept = ~np.isin(labels.codes, dropped)
    if not kept.any():
        raise UserError(
            "dataset.drop_classes names every class, so that no photo is left; take one out"
        )
    counts = labels.counts
    told = some((f"{labels.values[code]} ({counts[code]:,})" for code in dropped), most=8)
    remark = f"classes left out by dataset.drop_classes, with their rows: {told}"
    return contents.with_rows(contents.rows.filter(kept), *([remark] if dropped else []))


def numbered(contents: Contents) -> Contents:
    """Contents with `names` for all labels in the order of their numbers, and no others.

    The order is that of the layout where it has one; else numbers by their value, then names in
    alphabetical order, where `class 2` is before `class 10`.
    """
    used = set(coded(contents.rows["label"]).values)
    declared = contents.names or ()
    kept = [name for name in declared if name in used]
    added = sorted(used - set(kept), key=_natural_order)
    remarks = []
    if empty := [name for name in declared if name not in used]:
        remarks.append(
            f"{counted(len(empty), 'class', 'classes')} of {len(declared)} have no photo and are"
            f" left out: {some(empty)}"
        )
    if declared and added:
        remarks.append(
            f"{counted(len(added), 'label')} not among the {len(declared)} listed classes, numbered"
            f" behind them: {some(added)}"
        )
    numbers = replace(contents, names=(*kept, *added))
    return numbers.with_rows(contents.rows, *remarks)


# -- reading cells


def _tidied(contents: Contents) -> Contents:
    """Contents whose texts are trimmed, in one Unicode form, with single blanks."""
    rows = contents.rows
    for name in ("label", "split", "group", "sequence"):
        column = coded(rows[name])
        if not are_tidy(column.distinct):
            texts = [tidy(value) for value in column.values]
            rows = replaced(rows, name, column.column(texts))
    names = None
    if contents.names is not None:
        names = _distinct_names(contents.names, coded(contents.rows["label"]).values)
    return replace(contents, rows=rows, names=names)


def _distinct_names(names: Sequence[str], used: Collection[str]) -> tuple[str, ...]:
    """The numbered names, tidy; of spellings of one name only those of a label in use.

    Raises UserError where two numbers have one name, and photos both.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    for number, name in enumerate(names):
        numbers[spelling_key(tidy(name))].append(number)
    dropped = set[int]()
    for alike in numbers.values():
        if len(alike) < 2:
            continue
        with_photos = [number for number in alike if names[number] in used]
        if len(with_photos) > 1:
            told = " and ".join(f"{number} {names[number]!r}" for number in with_photos)
            raise UserError(
                f"classes {told} have numbers of their own and the same name but for case, blanks,"
                " hyphens or Unicode form; give them one number, or tell them apart by name"
            )
        dropped |= set(alike) - set(with_photos or alike[:1])
    return tuple(tidy(name) for number, name in enumerate(names) if number not in dropped)


def _separated(contents: Contents) -> Contents:
    """Contents with a row for each label of a cell that holds several."""
    import pyarrow as pa

    labels = coded(contents.rows["label"])
    lists = [_written_list(value) for value in labels.values]
    singles = {text for text, listed in zip(labels.values, lists, strict=True) if listed is None}
    singles |= {text for listed in lists if listed and len(listed) == 1 for text in listed}
    singles |= set(contents.names or ())
    parts = [
        _parts(text, singles) if listed is None else listed
        for text, listed in zip(labels.values, lists, strict=True)
    ]
    if all(part == [text] for part, text in zip(parts, labels.values, strict=True)):
        return contents
    lengths = np.array([*(max(len(part), 1) for part in parts), 1])[labels.codes]
    index = np.repeat(np.arange(len(labels.codes)), lengths)
    flat = [text for part in parts for text in (part or [""])]
    starts = np.concatenate([[0], np.cumsum([max(len(part), 1) for part in parts])])
    within = np.arange(len(index)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    codes = labels.codes[index]
    codes = np.where(codes < 0, -1, starts[codes] + within)
    rows = replaced(contents.rows.take(index), "label", Coded(pa.array(flat), codes).column())
    several = [text for text, part in zip(labels.values, parts, strict=True) if len(part) > 1]
    remarks = []
    if several:
        number = int((lengths > 1).sum())
        remarks.append(
            f"{counted(number, 'row')} with several labels in one cell, read as a label each"
            f" ({some(several)})"
        )
    return contents.with_rows(rows, *remarks)


def _written_list(text: str) -> list[str] | None:
    """The labels of a list that was written as text, such as `['zebra', 'gnu']`; else None."""
    if not (text[:1] in "[(" and text[-1:] in "])" and len(text) > 1):
        return None
    try:
        values = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    if not isinstance(values, list | tuple) or not all(
        isinstance(value, str | int) for value in values
    ):
        return None
    return list(dict.fromkeys(tidy(str(value)) for value in values))


def _parts(text: str, singles: Collection[str]) -> list[str]:
    """The labels that a cell joins, where each of them is also the label of another cell."""
    for separator in _SEPARATORS:
        if separator in text:
            parts = [part.strip() for part in text.split(separator) if part.strip()]
            if len(parts) > 1 and all(part in singles for part in parts):
                return list(dict.fromkeys(parts))
    return [text]


def _whole_numbers(contents: Contents) -> Contents:
    """Contents whose labels are `1`, not `1.0`, where all of them are whole numbers."""
    labels = coded(contents.rows["label"])
    present = [value for value in labels.values if not is_missing(value)]
    decimals = [value for value in present if _WHOLE_AS_DECIMAL.fullmatch(value)]
    if not decimals or not all(_is_whole(value) for value in present):
        return contents
    values = [value.partition(".")[0] if _is_whole(value) else value for value in labels.values]
    rows = replaced(contents.rows, "label", labels.column(values))
    return contents.with_rows(
        rows, f"labels are whole numbers written as decimals ({some(decimals)}), read as 1 for 1.0"
    )


def _is_whole(value: str) -> bool:
    return bool(re.fullmatch(r"[+-]?\d+", value) or _WHOLE_AS_DECIMAL.fullmatch(value))


# -- what is missing


def _labelled(contents: Contents, not_missing: Collection[str]) -> Contents:
    """Contents without the rows that have no label."""
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
    others = [value for value in labels.values if value != "-1" and not is_missing(value)]
    numbers = all(_NUMBER.fullmatch(value) and float(value) >= 0 for value in others)
    minus_one = bool(others) and (numbers or names is not None)
    for value in labels.values:
        yield value not in real and (is_missing(value) or (value == "-1" and minus_one))


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


def _without_gaps(contents: Contents, column: str, not_missing: Collection[str]) -> Contents:
    """Contents whose groups, sequences or splits are null where none is given."""
    rows = contents.rows
    found = coded(rows[column])
    gaps = _missing_values(found.distinct, [tidy(value) for value in not_missing])
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
    if column != "split" and len(found) <= _MOST_MERGED:
        winners = _winners(found, {})
        if told := _spellings(found, winners):
            remarks.append(f"{column}s that differ only in spelling are one: {told}")
            values = [winners[value] for value in found.values]
            rows = replaced(rows, column, found.column(values))
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


# -- spellings


def _one_spelling(contents: Contents) -> Contents:
    """Contents in which names that differ only in case, blanks, hyphens or form are one class."""
    labels = coded(contents.rows["label"])
    declared = {spelling_key(name): name for name in contents.names or ()}
    winners = _winners(labels, declared)
    told = _spellings(labels, winners)
    if not told:
        return contents
    values = [winners[value] for value in labels.values]
    return contents.with_rows(
        replaced(contents.rows, "label", labels.column(values)),
        f"class names that differ only in case, blanks, hyphens or Unicode form are one: {told}",
    )


def _winners(column: Coded, declared: Mapping[str, str]) -> dict[str, str]:
    """The spelling to use for each value: the declared one, else the most frequent of its key."""
    keys = {value: spelling_key(value) for value in column.values}
    plain = {key for value, key in keys.items() if camel_key(value) == key} | declared.keys()
    counts = dict(zip(column.values, column.counts, strict=True))
    spellings: dict[str, list[str]] = defaultdict(list)
    for value, key in keys.items():
        camel = camel_key(value)  # GiantPanda is giant_panda where there is one
        spellings[camel if camel in plain else key].append(value)
    return {
        value: declared.get(key) or min(alike, key=lambda text: (-counts[text], text))
        for key, alike in spellings.items()
        for value in alike
    }


def _spellings(column: Coded, winners: Mapping[str, str]) -> str:
    """Such as `'zebra' (18), 'Zebra' (6)`, the winner first; "" where nothing is merged."""
    merged: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for value, count in zip(column.values, column.counts, strict=True):
        if count:
            merged[winners[value]].append((-count, value))
    told = []
    for winner, alike in sorted(merged.items()):
        first = min(alike)[1]
        if len(alike) > 1 or first != winner:
            forms = ", ".join(f"{value!r} ({-count:,})" for count, value in sorted(alike))
            told.append(forms if first == winner else f"{forms} as {winner!r}")
    return some(told, "; ")


def _natural_order(label: str) -> tuple[object, ...]:
    """Numbers by their value before all else; in names, digits by their value."""
    if _NUMBER.fullmatch(label):
        return (0, float(label), label)
    parts = re.split(r"(\d+)", label)  # text and digits in turn
    return (1, [int(part) if n % 2 else part for n, part in enumerate(parts)], label)


def _doubtful_labels(contents: Contents) -> Iterable[str]:
    """Sentences about classes that may be none."""
    labels = coded(contents.rows["label"])
    for value, count in zip(labels.values, labels.counts, strict=True):
        key = spelling_key(value)
        if key in _READS_AS_NONE or is_missing(value):
            yield (
                f"{value} ({counted(count, 'row')}) is taken for a class; if it says that there is"
                f" none: dataset.drop_classes = [{value!r}]"
            )
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
