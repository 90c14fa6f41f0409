"""Labels that are whole numbers and were written as decimals, since a cell was empty."""

from __future__ import annotations

import re

from discl.parts.datasets.manifest.columns import coded, replaced, some
from discl.parts.datasets.manifest.rows import Contents
from discl.parts.datasets.manifest.usual_names import is_missing

_WHOLE_AS_DECIMAL = re.compile(r"[+-]?\d+\.0+")


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
