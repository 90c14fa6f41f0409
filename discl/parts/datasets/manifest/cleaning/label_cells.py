"""Cells of a label column: those with several labels, and whole numbers written as decimals."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection

import numpy as np

from discl.parts.datasets.manifest.cleaning.spelling import tidy
from discl.parts.datasets.manifest.columns import Coded, coded, counted, replaced, some
from discl.parts.datasets.manifest.rows import Contents
from discl.parts.datasets.manifest.usual_names import is_missing

_WHOLE_AS_DECIMAL = re.compile(r"[+-]?\d+\.0+")
# between labels in one cell; the first two are hardly ever part of a name
_SEPARATORS = ("|", ";", ",", "+", "/", "&")
_PLAIN_SEPARATORS = 2


def separated(contents: Contents) -> Contents:
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
    """The labels that a cell joins, where each of them is also the label of another cell.

    Of labels between bars or semicolons, one that is will do.
    """
    for number, separator in enumerate(_SEPARATORS):
        if separator in text:
            parts = [part.strip() for part in text.split(separator) if part.strip()]
            known = [part in singles for part in parts]
            if len(parts) > 1 and (all(known) or (any(known) and number < _PLAIN_SEPARATORS)):
                return list(dict.fromkeys(parts))
    return [text]


def whole_numbers(contents: Contents) -> Contents:
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
