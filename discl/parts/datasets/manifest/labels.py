"""Labels, groups and sequences of a manifest: trimmed, merged over spellings, gaps left out."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from discl.core.errors import UserError, unknown
from discl.core.text import counted
from discl.parts.datasets.manifest.cleaning.gaps import (
    NUMBER,
    doubtful_labels,
    labelled,
    without_gaps,
)
from discl.parts.datasets.manifest.cleaning.same_names import one_spelling
from discl.parts.datasets.manifest.cleaning.spelling import are_tidy, spelling_key, tidy
from discl.parts.datasets.manifest.cleaning.whole_numbers import whole_numbers
from discl.parts.datasets.manifest.columns import Coded, coded, replaced, some
from discl.parts.datasets.manifest.rows import Contents


def cleaned(contents: Contents, not_missing: Collection[str] = ()) -> Contents:
    """Contents whose labels are names of classes, one spelling each, on every row.

    Rows without a label are left out and counted; a missing group, sequence or split is null.
    `not_missing`: values that are names although they read as if nothing was there, such as a class
    `None`; names of `contents.names` and of folders are so by themselves.

    Raises UserError where no row has a label, or where two spellings of one name have numbers of
    their own in `contents.names`, and photos both.
    """
    contents = whole_numbers(_tidied(contents))
    contents = one_spelling(labelled(contents, not_missing), "label", "class names")
    for column in ("group", "sequence"):
        contents = without_gaps(contents, column, not_missing)
        contents = one_spelling(contents, column, f"{column}s")
    contents = without_gaps(contents, "split", ())
    return contents.with_rows(contents.rows, *doubtful_labels(contents))


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
    remarks = []
    for name in ("label", "split", "group", "sequence"):
        column = coded(rows[name])
        if not are_tidy(column.distinct):
            texts = [tidy(value) for value in column.values]
            rows = replaced(rows, name, column.column(texts))
            remarks += _merged(column, texts, "class name" if name == "label" else name)
    names = None
    if contents.names is not None:
        names = _distinct_names(contents.names, coded(contents.rows["label"]).values)
    tidied = replace(contents, names=names)
    return tidied.with_rows(rows, *remarks)


def _merged(column: Coded, texts: Sequence[str], what: str) -> list[str]:
    """A sentence where a value is one of others once it is tidy."""
    of_text = Counter(texts)
    told = [
        f"{value!r} ({count:,}) is {text!r}"
        for value, count, text in zip(column.values, column.counts, texts, strict=True)
        if value != text and of_text[text] > 1 and count
    ]
    if not told:
        return []
    return [f"{what}s with blanks or signs around them are the same without: {some(told)}"]


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


def _natural_order(label: str) -> tuple[object, ...]:
    """Numbers by their value before all else; in names, digits by their value."""
    if NUMBER.fullmatch(label):
        return (0, float(label), label)
    parts = re.split(r"(\d+)", label)  # text and digits in turn
    return (1, [int(part) if n % 2 else part for n, part in enumerate(parts)], label)
