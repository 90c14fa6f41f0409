"""Cells of Parquet and Arrow files: text of whole columns, pictures of single rows."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json, plain, plain_bytes
from discl.files import parquet_rows

if TYPE_CHECKING:
    import pyarrow as pa

Features = dict[str, dict[str, Any]]  # column -> its type as `datasets` recorded it


def schema_of(path: Path) -> pa.Schema:
    """Raises UserError where the file cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return pq.read_schema(plain(path))
        with pa.memory_map(str(plain(path))) as mapped, pa.ipc.open_stream(mapped) as opened:
            return opened.schema
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def features_of(schema: pa.Schema) -> Features:
    """The types that `datasets` wrote beside a schema; empty where it wrote none."""
    try:
        about = parsed_json((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = about["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def names_of_type(feature: object) -> tuple[str, ...]:
    """The class names of a column's type, of one label or of a list of them; () = none."""
    if isinstance(feature, list):  # as older versions write a list
        feature = feature[0] if feature else None
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") in ("Sequence", "List", "LargeList"):
        return names_of_type(feature.get("feature"))
    names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def is_plain(kind: pa.DataType) -> bool:
    """Whether cells are texts, numbers, or lists of them."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return is_plain(kind.value_type)
    return not (pa.types.is_nested(kind) or pa.types.is_binary(kind)) and not (
        pa.types.is_large_binary(kind)
    )


def batches_of(path: Path, columns: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
    """Some columns, `size` rows at most at a time; raises UserError for a damaged file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            with pq.ParquetFile(plain(path), pre_buffer=False) as opened:
                yield from opened.iter_batches(size, columns=list(columns))
            return
        with pa.memory_map(str(plain(path))) as mapped, pa.ipc.open_stream(mapped) as stream:
            for batch in stream:
                chosen = batch.select(list(columns))
                for start in range(0, batch.num_rows, size):
                    yield chosen.slice(start, size)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def rows_of(path: Path) -> int:
    """How many rows a file has."""
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        return int(pq.read_metadata(plain(path)).num_rows)
    return sum(len(batch) for batch in batches_of(path, [], 1 << 20))


def paths_alone(path: Path, column: str) -> list[str | None]:
    """Of each row the path of a picture that has no bytes beside it; [] = every row has bytes.

    Pictures are not read where the file's statistics say that they are there.
    """
    import pyarrow as pa

    kind = schema_of(path).field(column).type
    if not pa.types.is_struct(kind) or kind.get_field_index("path") < 0:
        return []
    if kind.get_field_index("bytes") < 0:
        fields = [f"{column}.path"]
    elif _all_have_bytes(path, column):
        return []
    else:
        fields = [column]
    found = list[str | None]()
    for batch in batches_of(path, fields if path.suffix == ".parquet" else [column], 1_000):
        cells = batch.column(0)
        paths = cells.field("path").to_pylist()
        if fields == [column]:
            have = cells.field("bytes").is_valid().to_pylist()
            paths = [None if filled else name for name, filled in zip(paths, have, strict=True)]
        found += paths
    return found if any(found) else []


def _all_have_bytes(path: Path, column: str) -> bool:
    """Whether no row lacks bytes."""
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        return not any(
            batch.column(0).field("bytes").null_count for batch in batches_of(path, [column], 1000)
        )
    metadata = pq.read_metadata(plain(path))
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        leaves = [group.column(at) for at in range(group.num_columns)]
        leaf = next(leaf for leaf in leaves if leaf.path_in_schema == f"{column}.bytes")
        if leaf.statistics is None or leaf.statistics.null_count != 0:
            return False
    return True


# -- text


def texts_of(values: Sequence[object], names: Sequence[str]) -> list[str | None]:
    """Cells as text, numbers of classes as their names; -1 = no class, as test splits have it."""
    if not names:
        return [text_of(value) for value in values]

    def name(value: object) -> str | None:
        if isinstance(value, int):
            return names[value] if 0 <= value < len(names) else None
        return text_of(value)

    return [
        json.dumps([*filter(None, map(name, value))], ensure_ascii=False)
        if isinstance(value, list)
        else name(value)
        for value in values
    ]


def text_of(value: Any) -> str | None:
    """A cell as text: whole floats as whole numbers, lists as JSON; None for objects."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if value != value:
            return None
        return str(int(value)) if value.is_integer() else str(value)
    if isinstance(value, dict) or (isinstance(value, list) and dict in map(type, value)):
        return None
    if isinstance(value, list):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)


# -- pictures


def picture(cell: Any, root: Path) -> bytes | None:
    """The bytes of a cell, or those of the file that it names; None where it has neither."""
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(data, bytes) and data:
        return data
    path = cell.get("path") if isinstance(cell, dict) else None
    if not isinstance(path, str) or not path:
        return None
    try:
        return plain_bytes(root / path)  # an absolute path stays what it is
    except OSError:
        return None


def cell_of(path: Path, column: str, row: int) -> Any:
    """A cell as a Python value; raises UserError where it cannot be read."""
    if path.suffix == ".parquet":
        return parquet_rows.cell(path, column, row)
    import pyarrow as pa

    try:
        starts, batches = _batches(path, path.stat().st_mtime_ns, column)
        number = bisect_right(starts, row) - 1
        return batches[number][row - starts[number]].as_py()
    except (pa.ArrowException, OSError, IndexError) as error:
        raise UserError(f"{path}, row {row}: {_reason(error)}; get the file again") from error


def pictures_of(path: Path, column: str, root: Path) -> Iterator[bytes | None]:
    """The pictures of all rows, in their order, a few in memory at a time."""
    for batch in batches_of(path, [column], 64):
        for cell in batch.column(0):
            yield picture(cell.as_py(), root)


@lru_cache(maxsize=4)
def _batches(path: Path, changed_ns: int, column: str) -> tuple[list[int], list[Any]]:
    """(first row of each batch, the batches) of a column of an Arrow file, memory-mapped."""
    import pyarrow as pa

    with pa.ipc.open_stream(pa.memory_map(str(plain(path)))) as opened:
        batches = [batch.column(column) for batch in opened]
    starts = [0]
    for batch in batches[:-1]:
        starts.append(starts[-1] + len(batch))
    return starts, batches


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} cannot be read ({_reason(error)}); get it again")


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or ["damaged"])[0]
