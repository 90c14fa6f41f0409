"""Arrow arrays from and to Arrow's own memory, for what every command reads.

`pa.array`, `to_numpy` and scalars of Arrow import pandas first, which takes longer than most
commands; nothing here does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa


def of_integers(values: NDArray[np.int64]) -> pa.Array:
    """Whole numbers [n] as an Arrow array."""
    import pyarrow as pa

    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def of_bytes(values: Sequence[bytes]) -> pa.Array:
    """Bytes [n], below 2 GiB in all, as an Arrow array."""
    import pyarrow as pa

    ends = np.fromiter(accumulate(map(len, values), initial=0), np.int32, len(values) + 1)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(values))]
    return pa.Array.from_buffers(pa.binary(), len(values), buffers)


def integers(column: pa.Array | pa.ChunkedArray) -> NDArray[np.int64]:
    """A column of whole numbers [n], with -1 for null."""
    chunks = getattr(column, "chunks", [column])
    return np.concatenate([np.zeros(0, np.int64), *map(_integers_of_chunk, chunks)])


def truths(values: pa.BooleanArray) -> NDArray[np.bool_]:
    """Truth values [n], none of them null."""
    if not len(values):
        return np.zeros(0, np.bool_)
    return _unpacked(values.buffers()[1])[values.offset : values.offset + len(values)]


def _integers_of_chunk(chunk: pa.Array) -> NDArray[np.int64]:
    if not len(chunk):
        return np.zeros(0, np.int64)
    is_valid, values = chunk.buffers()
    rows = slice(chunk.offset, chunk.offset + len(chunk))
    found = np.frombuffer(values, str(chunk.type))[rows].astype(np.int64)
    if chunk.null_count:
        found[~_unpacked(is_valid)[rows]] = -1
    return found


def _unpacked(buffer: pa.Buffer) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little").view(np.bool_)
