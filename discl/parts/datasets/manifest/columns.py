"""Columns of a manifest's rows as codes of their distinct values, and as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from discl.files.formats.arrow_memory import integers, of_integers, truths

if TYPE_CHECKING:
    import pyarrow as pa

_MOST = 4  # names in a remark


@dataclass(frozen=True)
class Coded:
    """A column [n] as codes of its distinct values [v]; -1 where it is null."""

    distinct: pa.Array  # [v], in the order of their first row
    codes: NDArray[np.int64]  # [n]

    @cached_property
    def values(self) -> list[str]:
        return cast("list[str]", self.distinct.to_pylist())

    @cached_property
    def counts(self) -> list[int]:
        """Rows [v] of each value."""
        counts: list[int] = np.bincount(self.codes[self.codes >= 0], minlength=len(self)).tolist()
        return counts

    def __len__(self) -> int:
        return len(self.distinct)

    def column(self, values: Sequence[str | None] | None = None) -> pa.ChunkedArray:
        """The column, with other values [v] where they are given."""
        import pyarrow as pa

        distinct = self.distinct if values is None else pa.array(values, pa.string())
        indices = pa.array(self.codes, mask=self.codes < 0)
        return pa.chunked_array([distinct.take(indices)])


def coded(column: pa.ChunkedArray) -> Coded:
    """A column of text by its distinct values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if ascends(column):
        texts = column.combine_chunks()
        changes = np.append(True, truths(pc.not_equal(texts[1:], texts[:-1])))
        distinct = texts if changes.all() else texts.take(of_integers(np.flatnonzero(changes)))
        return Coded(distinct, np.cumsum(changes) - 1)
    # chunks that are encoded here have one dictionary; to unify equal ones takes far longer
    is_encoded = pa.types.is_dictionary(column.type)
    encoded = column.unify_dictionaries() if is_encoded else column.dictionary_encode()
    if not encoded.num_chunks:
        return Coded(pa.array([], pa.string()), np.zeros(0, np.int64))
    parts = [integers(chunk.indices) for chunk in encoded.chunks]
    return Coded(encoded.chunk(0).dictionary, np.concatenate(parts))


def ascends(column: pa.ChunkedArray) -> bool:
    """Whether no text is before the one above it: equal ones lie together, and need no hashes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_string(column.type) or column.null_count or len(column) < 2:
        return False
    first, *rest = [chunk for chunk in column.chunks if len(chunk)]
    ends = [first, *rest]
    return all(before[-1].as_py() <= after[0].as_py() for before, after in pairwise(ends)) and all(
        pc.all(pc.less_equal(chunk[:-1], chunk[1:])).as_py() for chunk in ends
    )


def replaced(rows: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    """The rows with another column of a name."""
    return rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)


def some(texts: Iterable[str], separator: str = ", ", most: int = _MOST) -> str:
    """The first few texts, and how many more there are."""
    listed = list(texts)
    more = [f"and {len(listed) - most:,} more"] if len(listed) > most else []
    return separator.join([*listed[:most], *more])


def by_split(rows: pa.Table, mask: NDArray[np.bool_]) -> str:
    """How many rows of a mask [n] each split has: `train 12, test 3`; "" where none has a split."""
    splits = coded(rows["split"])
    counts = np.bincount(splits.codes[mask] + 1, minlength=len(splits) + 1).tolist()
    named = [(name, count) for name, count in zip(splits.values, counts[1:], strict=True) if count]
    if counts[0] and named:
        named.append(("without a split", counts[0]))
    return ", ".join(f"{name} {count:,}" for name, count in named)


def place(rows: pa.Table, index: int) -> str:
    """Where a row stands, such as `labels.csv, row 7`; its photo where no file lists it."""
    row = rows.slice(index, 1).to_pylist()[0]
    if row["source"] is None:
        return str(row["ref"])
    return row["source"] if row["row"] is None else f"{row['source']}, row {row['row']}"
