"""What cells of a class say: several in one, numbers with names beside them or in classes.txt."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.plain_files import parsed_json
from discl.parts.datasets.manifest.columns import coded
from discl.parts.datasets.manifest.usual_names import is_missing

if TYPE_CHECKING:
    import pyarrow as pa

_SEPARATORS = "|;,+/&"
# a class before a box, once or more, as Kaggle's ImageNet has it
_WITH_BOX = re.compile(r"([^\W\d]\S*)((?: -?\d+){4})(?: \S+(?: -?\d+){4})*")


def with_single_labels(rows: pa.Table, where: str) -> tuple[pa.Table, list[str]]:
    """(rows with one label each, remarks); a cell with several labels becomes several rows.

    A cell holds several where it is a JSON array, or where `|`, `;` or `,` divides it into labels
    that stand alone in other rows.
    """
    labels = coded(rows["label"])
    known = set(labels.values)
    parts = [_parts(value, known) for value in labels.values]
    divided = [
        value
        for value, found in zip(labels.values, parts, strict=True)
        if len(found) > 1 and value.strip()[0] not in "[("
    ]
    if all(found == [value] for value, found in zip(labels.values, parts, strict=True)):
        return rows, []
    counts = np.array([*map(len, parts), 0])  # code -1 is the last
    counts[counts == 0] = 1
    of_row = counts[labels.codes]
    taken = np.repeat(np.arange(rows.num_rows), of_row)
    place = np.arange(len(taken)) - np.repeat(np.cumsum(of_row) - of_row, of_row)
    exploded = rows.take(taken)
    column = _label_column(parts, labels.codes[taken], place)
    remarks = list[str]()
    if divided:
        remarks.append(f"{where}: cells such as {divided[0]!r} are read as several classes")
    return with_column(exploded, "label", column), remarks


def with_column(rows: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    """The rows with another column of a name, whatever its type."""
    return rows.set_column(rows.schema.get_field_index(name), name, column)


def _label_column(
    parts: Sequence[list[str]], codes: NDArray[np.int64], place: NDArray[np.int64]
) -> pa.ChunkedArray:
    """The label of each row: the part at `place` [n] of the cell with `codes` [n]."""
    import pyarrow as pa

    flat = pa.array([part for found in parts for part in found], pa.string())
    starts = np.cumsum([0, *map(len, parts)])[:-1]
    empty = np.array([not found for found in parts] or [True])
    none = (codes < 0) | empty[codes]
    indices = np.where(none, 0, starts[codes] if len(parts) else 0) + np.where(none, 0, place)
    return pa.chunked_array([flat.take(pa.array(indices, pa.int64(), mask=none))])


def _parts(cell: str, known: set[str]) -> list[str]:
    """The labels in a cell; [] = none is given. What reads as missing stays as it is written."""
    if is_missing(cell):
        return [cell]
    text = cell.strip()
    if text[0] in "[(" and text[-1] in "])":
        items = _array(text)
        if items is not None:
            return list(dict.fromkeys(str(item) for item in items if not is_missing(item)))
    if _WITH_BOX.fullmatch(text):
        return list(dict.fromkeys(text.split()[::5]))
    for separator in _SEPARATORS:
        if separator not in cell:
            continue
        found = [part.strip() for part in cell.split(separator)]
        alone = sum(part in known for part in found)
        # a class of its own may have a comma in its name, but hardly a bar
        if all(found) and (alone == len(found) or (separator in "|;" and alone)):
            return list(dict.fromkeys(found))
    return [cell]


def _array(text: str) -> list[object] | None:
    """The items of an array as JSON or Python writes it; None where it is none."""
    for parse in (parsed_json, ast.literal_eval):
        try:
            items = parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(items, list | tuple):
            return list(items)
    return None
