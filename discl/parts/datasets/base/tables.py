"""Photos inside Parquet files or a folder of Hugging Face `save_to_disk`: read where they lie, a
group of rows at a time.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.files.sources import contained
from discl.files.tables import FORMS
from discl.parts.datasets.base.layout import Columns, Found, Wanted, label_column, present, split_of

_SHARD = re.compile(r"(?P<split>.+?)-\d{4,}(-of-\d{4,})?(-[0-9a-f]+)?")
_DICT = "dataset_dict.json"
_MARK = "#"  # between the file and the row


class Tables:
    """Columns are found by the types that `datasets` wrote down, else by their usual names."""

    def recognises(self, root: Path) -> bool:
        return (root / _DICT).is_file() or (root / "state.json").is_file() or any(_parquets(root))

    def look(self, root: Path, wanted: Wanted) -> Found:
        splits: dict[str, Columns] = {}
        names: tuple[str, ...] | None = None
        for split, path in _files(root):
            schema = _schema(path)
            features = _features(path, schema)
            image = _image_column(schema, features, wanted, path)
            label = _label_column(schema, features, wanted, path)
            group = (
                present(wanted.group, schema.names, "group_column", path) if wanted.group else ""
            )
            said = features.get(label, {}).get("names")
            if names is not None and said is not None and tuple(said) != names:
                raise UserError(
                    f"{path} numbers its classes otherwise than the files before it; write them"
                    " with one list of names"
                )
            names = tuple(said) if said is not None else names
            read = _columns(path, [label, *([group] if group else [])])
            start = f"{path.relative_to(root).as_posix()}{_MARK}{image}{_MARK}"
            refs, labels, groups = splits.setdefault(split, Columns([], [], []))
            refs += [f"{start}{row}" for row in range(read.num_rows)]
            labels += read[label].to_pylist()
            groups += read[group].to_pylist() if group else []
        return Found(splits, names)

    def read(self, root: Path, ref: str) -> bytes:
        name, image, row = ref.rsplit(_MARK, 2)
        path = root / contained(name)
        cell = _cell(path, path.stat().st_mtime_ns, image, int(row))
        data, elsewhere = (
            (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
        )
        if isinstance(data, bytes):
            return data
        if isinstance(elsewhere, str) and elsewhere:
            return (root / contained(elsewhere)).read_bytes()
        raise UserError(f"{ref} holds no picture; write it again, or remove the row")

    def stamp(self, root: Path, ref: str) -> tuple[int, int]:
        state = (root / ref.partition(_MARK)[0]).stat()
        return state.st_size, state.st_mtime_ns


def _parquets(root: Path) -> list[Path]:
    return [
        path
        for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet")
        for path in sorted(root.glob(pattern))
    ]


def _files(root: Path) -> list[tuple[str, Path]]:
    """(split, file) of every file, in order; the split is "" where nothing says it."""
    if (root / _DICT).is_file():
        try:
            listed = [str(name) for name in json.loads((root / _DICT).read_text("utf-8"))["splits"]]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{root / _DICT} is damaged ({error}); get the folder again") from error
        return [
            (split_of(name) or name, path)
            for name in listed
            for path in FORMS["datasets"].files(root / contained(name))
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
    """Column -> what `datasets` says of it."""
    try:
        said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: feature for name, feature in said.items() if isinstance(feature, dict)}


def _image_column(
    schema: Any, features: dict[str, dict[str, Any]], wanted: Wanted, path: Path
) -> str:
    import pyarrow as pa

    if wanted.image:
        return present(wanted.image, schema.names, "image_column", path)
    typed = [
        name
        for name, feature in features.items()
        if feature.get("_type") == "Image" and name in schema.names
    ]
    like = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    return _the_only(
        typed or like or [name for name in ("image", "img", "picture") if name in schema.names],
        schema,
        "image",
        path,
    )


def _label_column(
    schema: Any, features: dict[str, dict[str, Any]], wanted: Wanted, path: Path
) -> str:
    typed = [
        name
        for name, feature in features.items()
        if feature.get("_type") == "ClassLabel" and name in schema.names
    ]
    if wanted.label or not typed:
        return label_column(schema.names, wanted, path)
    return _the_only(typed, schema, "label", path)


def _the_only(found: list[str], schema: Any, what: str, path: Path) -> str:
    if len(found) == 1:
        return found[0]
    several = (
        f"several could be the {what} ({', '.join(found)})"
        if found
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
        group = max(place for place, start in enumerate(starts) if start <= row)
        return _group(path, changed_ns, column, group)[row - starts[group]].as_py()
    except (pa.ArrowException, OSError, IndexError) as error:
        raise UserError(
            f"{path} row {row} cannot be read ({(str(error).splitlines() or ['damaged'])[0]}); get"
            " the file again"
        ) from error


@lru_cache(maxsize=256)
def _starts(path: Path, changed_ns: int, column: str) -> list[int]:
    """First row of each group."""
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        about = pq.read_metadata(path)
        counts = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
    else:
        counts = [len(batch) for batch in _batches(path, changed_ns, column)]
    return [sum(counts[:place]) for place in range(len(counts))]


@lru_cache(maxsize=2)  # photos are read in order: the group at hand, and a neighbour
def _group(path: Path, changed_ns: int, column: str, group: int) -> Any:
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        return _batches(path, changed_ns, column)[group]
    with pq.ParquetFile(path) as opened:
        return opened.read_row_group(group, columns=[column])[column].combine_chunks()


@lru_cache(maxsize=4)
def _batches(path: Path, changed_ns: int, column: str) -> list[Any]:
    """A column of an Arrow file, as it lies on the disk: nothing is copied."""
    import pyarrow as pa

    with pa.ipc.open_stream(pa.memory_map(str(path))) as opened:
        return [batch.column(column) for batch in opened]
