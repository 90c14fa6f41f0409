"""Photos inside Parquet files or a `save_to_disk` folder of Hugging Face, read in row groups."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.files.sources import safe_path
from discl.files.tables import FORMS
from discl.parts.datasets.layouts.interface import (
    ColumnNames,
    FolderContents,
    SplitRows,
    label_column,
    present,
    split_of,
)

_SHARD = re.compile(r"(?P<split>.+?)-\d{4,}(-of-\d{4,})?(-[0-9a-f]+)?")
_DATASET_DICT = "dataset_dict.json"
_SEPARATOR = "#"  # between the file and the row


class TableFiles:
    """Columns are found by the types that `datasets` wrote, else by common names."""

    def recognises(self, root: Path) -> bool:
        return (
            (root / _DATASET_DICT).is_file()
            or (root / "state.json").is_file()
            or any(_parquets(root))
        )

    def contents(self, root: Path, columns: ColumnNames) -> FolderContents:
        splits: dict[str, SplitRows] = {}
        names: tuple[str, ...] | None = None
        for split, path in _files(root):
            schema = _schema(path)
            features = _features(path, schema)
            image = _image_column(schema, features, columns, path)
            label = _label_column(schema, features, columns, path)
            group = (
                present(columns.group, schema.names, "group_column", path) if columns.group else ""
            )
            class_names = features.get(label, {}).get("names")
            if names is not None and class_names is not None and tuple(class_names) != names:
                raise UserError(
                    f"{path} numbers its classes otherwise than the files before it; write them"
                    " with one list of names"
                )
            names = tuple(class_names) if class_names is not None else names
            table = _columns(path, [label, *([group] if group else [])])
            start = f"{path.relative_to(root).as_posix()}{_SEPARATOR}{image}{_SEPARATOR}"
            rows = splits.setdefault(split, SplitRows([], [], []))
            rows.refs.extend(f"{start}{row}" for row in range(table.num_rows))
            rows.labels.extend(table[label].to_pylist())
            rows.groups.extend(table[group].to_pylist() if group else [])
        return FolderContents(splits, names)

    def read(self, root: Path, ref: str) -> bytes:
        name, image, row = ref.rsplit(_SEPARATOR, 2)
        path = root / safe_path(name)
        content = _content(_cell(path, path.stat().st_mtime_ns, image, int(row)), root)
        if content is None:
            raise UserError(f"{ref} holds no picture; write it again, or remove the row")
        return content

    def cells(self, root: Path, path: str, column: str) -> Iterator[bytes | None]:
        """The contents of all rows."""
        changed_ns = (root / path).stat().st_mtime_ns
        for group in range(len(_starts(root / path, changed_ns, column))):
            for cell in _group(root / path, changed_ns, column, group):
                yield _content(cell.as_py(), root)

    def stamp(self, root: Path, ref: str) -> tuple[int, int]:
        status = (root / ref.partition(_SEPARATOR)[0]).stat()
        return status.st_size, status.st_mtime_ns


def _content(cell: Any, root: Path) -> bytes | None:
    """The bytes of a picture; None where the cell has none."""
    image_bytes = cell.get("bytes") if isinstance(cell, dict) else cell
    if isinstance(image_bytes, bytes):
        return image_bytes
    image_path = cell.get("path") if isinstance(cell, dict) else None
    if isinstance(image_path, str) and image_path:
        return (root / safe_path(image_path)).read_bytes()
    return None


def _parquets(root: Path) -> list[Path]:
    return [
        path
        for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet")
        for path in sorted(root.glob(pattern))
    ]


def _files(root: Path) -> list[tuple[str, Path]]:
    """(split, file) of every file, in order; the split is "" where no name says it."""
    if (root / _DATASET_DICT).is_file():
        try:
            listed = [
                str(name)
                for name in json.loads((root / _DATASET_DICT).read_text("utf-8"))["splits"]
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{root / _DATASET_DICT} is damaged ({error}); get the folder again"
            ) from error
        return [
            (split_of(name) or name, path)
            for name in listed
            for path in FORMS["datasets"].files(root / safe_path(name))
        ]
    if (root / "state.json").is_file():
        return [("", path) for path in FORMS["datasets"].files(root)]
    return [(_split_of_file(path, root), path) for path in _parquets(root)]


def _split_of_file(path: Path, root: Path) -> str:
    """By the file's name (`train-00000-of-00001`, `test`), else by its folder's."""
    shard = _SHARD.fullmatch(path.stem)
    name = shard["split"] if shard else path.stem
    above = path.parent.name if path.parent != root else ""
    return split_of(name) or split_of(above) or (name if shard else "")


def _schema(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return pq.read_schema(path)
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as opened:
            return opened.schema
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({str(error).splitlines()[0]}); get it again"
        ) from error


def _features(path: Path, schema: Any) -> dict[str, dict[str, Any]]:
    """Column -> its type as `datasets` recorded it."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"][
            "features"
        ]
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: feature for name, feature in features.items() if isinstance(feature, dict)}


def _image_column(
    schema: Any, features: dict[str, dict[str, Any]], columns: ColumnNames, path: Path
) -> str:
    import pyarrow as pa

    if columns.image:
        return present(columns.image, schema.names, "image_column", path)
    typed = [
        name
        for name, feature in features.items()
        if feature.get("_type") == "Image" and name in schema.names
    ]
    with_bytes = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    return _the_only(
        typed
        or with_bytes
        or [name for name in ("image", "img", "picture") if name in schema.names],
        schema,
        "image",
        path,
    )


def _label_column(
    schema: Any, features: dict[str, dict[str, Any]], columns: ColumnNames, path: Path
) -> str:
    typed = [
        name
        for name, feature in features.items()
        if feature.get("_type") == "ClassLabel" and name in schema.names
    ]
    if columns.label or not typed:
        return label_column(schema.names, columns, path)
    return _the_only(typed, schema, "label", path)


def _the_only(candidates: list[str], schema: Any, what: str, path: Path) -> str:
    if len(candidates) == 1:
        return candidates[0]
    several = (
        f"several could be the {what} ({', '.join(candidates)})"
        if candidates
        else f"none looks like the {what}"
    )
    raise UserError(
        f"{path} has the columns {', '.join(schema.names)}: {several}; set dataset.{what}_column"
    )


def _columns(path: Path, names: list[str]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            return pq.read_table(path, columns=names)
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_stream(mapped) as opened:
            return pa.Table.from_batches(
                [batch.select(names) for batch in opened],
                pa.schema([opened.schema.field(name) for name in names]),
            )
    except (pa.ArrowException, OSError) as error:
        raise UserError(
            f"{path} cannot be read ({str(error).splitlines()[0]}); get it again"
        ) from error


def _cell(path: Path, changed_ns: int, column: str, row: int) -> Any:
    import pyarrow as pa

    try:
        starts = _starts(path, changed_ns, column)
        group = max(number for number, start in enumerate(starts) if start <= row)
        return _group(path, changed_ns, column, group)[row - starts[group]].as_py()
    except (pa.ArrowException, OSError, IndexError) as error:
        raise UserError(
            f"{path} row {row} cannot be read ({(str(error).splitlines() or ['damaged'])[0]}); get"
            " the file again"
        ) from error


@lru_cache(maxsize=256)
def _starts(path: Path, changed_ns: int, column: str) -> list[int]:
    """The first row of each row group."""
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        metadata = pq.read_metadata(path)
        counts = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    else:
        counts = [len(batch) for batch in _batches(path, changed_ns, column)]
    return [sum(counts[:number]) for number in range(len(counts))]


@lru_cache(maxsize=2)  # photos are read in order: the current group and its neighbour
def _group(path: Path, changed_ns: int, column: str, group: int) -> Any:
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        return _batches(path, changed_ns, column)[group]
    with pq.ParquetFile(path) as opened:
        return opened.read_row_group(group, columns=[column])[column].combine_chunks()


@lru_cache(maxsize=4)
def _batches(path: Path, changed_ns: int, column: str) -> list[Any]:
    """The record batches of a column of an Arrow file, memory-mapped."""
    import pyarrow as pa

    with pa.ipc.open_stream(pa.memory_map(str(path))) as opened:
        return [batch.column(column) for batch in opened]
