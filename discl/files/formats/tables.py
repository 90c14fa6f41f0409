"""Rows with a picture, as Parquet files or a folder of `datasets`; a batch at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from discl.core.errors import UserError
from discl.core.plain_files import parsed_json, plain, plain_text

BATCH = 256  # rows read at a time
FILE_BYTES = 256 << 20
GROUP_BYTES = 4 << 30  # of a row group that is read, unpacked
PICTURE = "image"  # the column {"bytes": ..., "path": ...}

Record = dict[str, Any]


class TableForm(Protocol):
    """A format on disk."""

    def open(self, path: Path, schema: Any) -> Any:
        """A writer with `write_table` and `close`."""

    def finish(self, folder: Path, parts: Sequence[Path], features: Any) -> None:
        """Name the parts, since their number is known, and add the files that readers expect."""

    def files(self, folder: Path) -> list[Path]:
        """The files of this form in a folder; none where it is of another form."""

    def count(self, path: Path) -> int:
        """Rows of a file."""

    def batches(self, path: Path) -> Iterator[Any]:
        """Record batches of at most `BATCH` rows."""


class _Parquet:
    """Files as the Hub and `load_dataset` find them."""

    def open(self, path: Path, schema: Any) -> Any:
        import pyarrow.parquet as pq

        # dictionaries and minima of pictures cost memory and find nothing
        plain = [name for name in schema.names if name != PICTURE]
        return pq.ParquetWriter(path, schema, use_dictionary=plain, write_statistics=plain)

    def finish(self, folder: Path, parts: Sequence[Path], features: Any) -> None:
        (folder / "data").mkdir()  # the place where the Hub and `load_dataset(folder)` look first
        for number, part in enumerate(parts):
            part.rename(folder / "data" / f"train-{number:05d}-of-{len(parts):05d}.parquet")

    def files(self, folder: Path) -> list[Path]:
        return sorted([*folder.glob("data/*.parquet"), *folder.glob("*.parquet")])

    def count(self, path: Path) -> int:
        import pyarrow.parquet as pq

        return int(pq.read_metadata(plain(path)).num_rows)

    def batches(self, path: Path) -> Iterator[Any]:
        import pyarrow.parquet as pq

        # a buffer would hold the whole file
        with pq.ParquetFile(plain(path), pre_buffer=False) as opened:
            groups = range(opened.metadata.num_row_groups)
            largest = max((opened.metadata.row_group(n).total_byte_size for n in groups), default=0)
            if largest > GROUP_BYTES:
                raise UserError(
                    f"{path} has a row group of {largest:,} bytes, more than the {GROUP_BYTES:,}"
                    " that are read at a time; write it with smaller ones"
                )
            yield from opened.iter_batches(BATCH)


class _Datasets:
    """A folder as `Dataset.save_to_disk` writes it."""

    def open(self, path: Path, schema: Any) -> Any:
        import pyarrow as pa

        return pa.ipc.new_stream(path, schema)

    def finish(self, folder: Path, parts: Sequence[Path], features: Any) -> None:
        """Write what `Dataset.save_to_disk` writes; that would need a second copy of everything."""
        from datasets import DatasetInfo

        names = [f"data-{number:05d}-of-{len(parts):05d}.arrow" for number in range(len(parts))]
        for part, name in zip(parts, names, strict=True):
            part.rename(folder / name)
        DatasetInfo(features=features).write_to_directory(str(folder))
        state: dict[str, Any] = dict.fromkeys(("_format_columns", "_format_type", "_split"))
        state |= {
            "_format_kwargs": {},
            "_output_all_columns": False,
            "_fingerprint": hashlib.sha256(folder.name.encode()).hexdigest()[:16],
        }
        state["_data_files"] = [{"filename": name} for name in names]
        (folder / "state.json").write_text(json.dumps(state, indent=2) + "\n", "utf-8")

    def files(self, folder: Path) -> list[Path]:
        path = folder / "state.json"
        try:
            entries = parsed_json(plain_text(path))["_data_files"]
            names = [str(entry["filename"]) for entry in entries]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}); get the folder again") from error
        outside = [name for name in names if Path(name).name != name]
        if outside:
            raise UserError(
                f"{path} names {outside[0]!r}, which does not lie in its folder; get the folder"
                " again"
            )
        return [folder / name for name in names]

    def count(self, path: Path) -> int:
        import pyarrow as pa

        with pa.memory_map(str(plain(path))) as mapped, pa.ipc.open_stream(mapped) as opened:
            return sum(batch.num_rows for batch in opened)

    def batches(self, path: Path) -> Iterator[Any]:
        import pyarrow as pa

        with pa.OSFile(str(plain(path))) as file, pa.ipc.open_stream(file) as opened:
            for batch in opened:
                yield from (batch.slice(start, BATCH) for start in range(0, batch.num_rows, BATCH))


FORMS: dict[str, TableForm] = {"parquet": _Parquet(), "datasets": _Datasets()}


def write(
    folder: Path, form: str, columns: Mapping[str, str], batches: Iterable[list[Record]]
) -> None:
    """Files of bounded size from batches of records with a `PICTURE` and `columns` (name -> type).

    A batch is a row group. The schema tells `datasets` that the picture is one, so that loaded
    files show images.
    """
    import pyarrow as pa
    from datasets import Features, Image, Value

    features = Features({PICTURE: Image(), **{name: Value(kind) for name, kind in columns.items()}})
    parts: list[Path] = []
    opened = None
    size = 0
    try:
        for batch in batches:
            table = pa.Table.from_pylist(batch, features.arrow_schema)
            if opened is None or size + table.nbytes > FILE_BYTES:
                if opened is not None:
                    opened.close()
                parts.append(folder / f"part-{len(parts):05d}")
                opened = FORMS[form].open(parts[-1], features.arrow_schema)
                size = 0
            opened.write_table(table)
            size += table.nbytes
    finally:
        if opened is not None:
            opened.close()
    FORMS[form].finish(folder, parts, features)


def count(folder: Path) -> int:
    """Rows in a folder, of whichever form; raises UserError where it cannot be read."""
    form, files = _form_and_files(folder)
    total = 0
    for path in files:
        with _readable(path):
            total += form.count(path)
    return total


def read(folder: Path, columns: Mapping[str, str]) -> Iterator[list[Record]]:
    """Batches of records with a `PICTURE` and `columns`, of whichever form.

    They are never all in memory, and nothing is unpickled. Raises UserError where a file cannot be
    read or lacks a column.
    """
    import pyarrow as pa

    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields = [(name, pa.type_for_alias(kind)) for name, kind in columns.items()]
    schema = pa.schema([(PICTURE, picture), *fields])
    form, files = _form_and_files(folder)
    for path in files:
        with _readable(path):
            for batch in form.batches(path):
                lacking = [name for name in schema.names if name not in batch.schema.names]
                if lacking:
                    raise UserError(f"{path} has no column {lacking[0]!r}; get the folder again")
                yield pa.Table.from_batches([batch]).select(schema.names).cast(schema).to_pylist()


def _form_and_files(folder: Path) -> tuple[TableForm, list[Path]]:
    for form in FORMS.values():
        files = form.files(folder)
        if files:
            return form, files
    raise UserError(f"{folder} holds neither Parquet files nor a `datasets` folder; get it again")


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} cannot be read ({first}); get it again") from error
