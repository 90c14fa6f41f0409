"""Single cells of Parquet files, read a row group at a time: a photo among many gigabytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.plain_files import plain


def cell(path: Path, column: str, row: int) -> Any:
    """A cell as a Python value: bytes, a dict for a struct, None for null.

    Only the row group of `row` is read, and the last two are kept, so that rows that are read in
    order cost one reading. Raises UserError where the file or the row cannot be read.
    """
    import pyarrow as pa

    try:
        changed_ns = path.stat().st_mtime_ns
        starts = _starts(path, changed_ns)
        group = bisect_right(starts, row) - 1
        return _group(path, changed_ns, column, group)[row - starts[group]].as_py()
    except (pa.ArrowException, OSError, IndexError, KeyError) as error:
        raise UserError(f"{path}, row {row}: {_reason(error)}; get the file again") from error


def leaves(path: Path, column: str) -> Iterator[Any]:
    """A column as Arrow arrays, a row group each; "image.path" is one field of a struct.

    Nothing else of the file is read, so that names are had without pictures. Raises UserError where
    the file cannot be read or has no such column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    outer, *fields = column.split(".")
    try:
        with pq.ParquetFile(plain(path)) as opened:
            for group in range(opened.num_row_groups):
                array = opened.read_row_group(group, columns=[column])[outer].combine_chunks()
                for field in fields:
                    array = array.field(field)
                yield array
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(
            f"{path}: no {column} can be read ({_reason(error)}); get it again"
        ) from error


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or ["damaged"])[0]


@lru_cache(maxsize=1024)
def _starts(path: Path, changed_ns: int) -> list[int]:
    """The first row of each row group."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(plain(path))
    counts = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    return [sum(counts[:group]) for group in range(len(counts))]


@lru_cache(maxsize=2)  # photos are read in order: the current group and its neighbour
def _group(path: Path, changed_ns: int, column: str, group: int) -> Any:
    import pyarrow.parquet as pq

    with pq.ParquetFile(plain(path)) as opened:
        return opened.read_row_group(group, columns=[column])[column].combine_chunks()
