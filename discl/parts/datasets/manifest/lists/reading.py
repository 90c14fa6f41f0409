"""Lists as people save them - CSV and its kin, JSON, JSONL, Parquet - read as text, in batches."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.plain_files import open_file, parsed_json, plain_text
from discl.core.text import printable
from discl.parts.datasets.manifest.layouts.table_cells import (
    batches_of,
    features_of,
    is_plain,
    names_of_type,
    schema_of,
    text_of,
    texts_of,
)
from discl.parts.datasets.manifest.usual_names import split_of

BATCH = 100_000  # rows in memory as Python objects
SAMPLE = 2_000  # rows that columns are recognised by
_BLOCK = 1 << 20
_DELIMITERS = ",;\t|"
_LARGEST_JSON = 1 << 30  # bytes; a JSON array is read whole

Columns = dict[str, list[str | None]]


@dataclass(frozen=True)
class TextTable:
    """A list whose cells are read as text; None = the cell holds nothing.

    `batches(columns, size)` yields the named columns, `size` rows at a time, and raises UserError
    with the row where the file is damaged. Lists in a cell are text, too, as a JSON array.
    """

    where: str  # the file, for messages
    names: tuple[str, ...]
    batches: Callable[[Sequence[str], int], Iterator[Columns]]
    remarks: tuple[str, ...] = ()
    headed: bool = True  # whether the names are the file's own

    def sample(self) -> Columns:
        """The first `SAMPLE` rows of all columns, or those before the first damaged one."""
        found: Columns = {name: [] for name in self.names}
        try:
            _add(found, self.batches(self.names, SAMPLE))
        except UserError:
            found = {name: [] for name in self.names}
            with contextlib.suppress(UserError):
                _add(found, self.batches(self.names, 1))
            if not any(found.values()):
                raise
        return found


def _add(found: Columns, batches: Iterator[Columns]) -> None:
    """Adds batches until there are `SAMPLE` rows."""
    for batch in batches:
        for name, cells in batch.items():
            found[name] += cells[: SAMPLE - len(found[name])]
        if all(len(cells) >= SAMPLE for cells in found.values()):
            return


def open_table(path: Path, where: str, is_header: Callable[[Sequence[str]], bool]) -> TextTable:
    """The list in a file, by its ending; `is_header` tells a header from a first row.

    Raises UserError where it cannot be read as a list.
    """
    ending = path.suffix.lower()
    try:
        if ending in (".parquet", ".arrow"):
            return _table_of_paths(path, where)
        if ending in (".jsonl", ".ndjson"):
            return _json_lines(path, where)
        if ending == ".json":
            return _json_array(path, where)
        return _delimited(path, where, is_header)
    except (OSError, ValueError, csv.Error) as error:
        raise _damaged(where, error) from error


def encoding_of(path: Path, where: str) -> tuple[str, tuple[str, ...]]:
    """(the encoding of a text file, remarks on it), by its byte order mark or all of its bytes.

    Raises UserError for a file that is no text.
    """
    with open_file(path, "rb") as opened:
        start = opened.read(1 << 16)
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16", ()
        for encoding, zeros in (("utf-16-le", start[1::2]), ("utf-16-be", start[::2])):
            if b"\0" in start and zeros.count(0) > 0.9 * len(zeros):
                return encoding, ()
        if b"\0" in start:
            raise UserError(f"{where} is no text; give a list as CSV, TSV, JSONL or Parquet")
        opened.seek(0)
        decoder = codecs.getincrementaldecoder("utf-8-sig")()
        try:
            while block := opened.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            remark = (
                f"{where} is no UTF-8 and is read as Latin-1, as older Windows writes it; if names"
                " look wrong, save it as UTF-8"
            )
            return _latin(path), (remark,)
    return "utf-8-sig", ()


def _latin(path: Path) -> str:
    """Windows' kind of Latin-1, unless the file holds bytes that it lacks."""
    holes = b"\x81\x8d\x8f\x90\x9d"
    with open_file(path, "rb") as opened:
        while block := opened.read(_BLOCK):
            if len(block.translate(None, holes)) < len(block):
                return "latin-1"
    return "cp1252"


def delimiter_of(sample: str) -> str:
    """The delimiter that divides every line of a sample alike; "" = there is one column."""
    best = ("", 0.0, 1)
    for delimiter in _DELIMITERS:
        rows = [
            row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row
        ][:200]
        width = len(rows[0]) if rows else 1
        alike = sum(len(row) == width for row in rows) / len(rows) if rows else 0.0
        if width > 1 and (alike, width) > best[1:]:
            best = (delimiter, alike, width)
    return best[0]


# -- delimited text


def _delimited(path: Path, where: str, is_header: Callable[[Sequence[str]], bool]) -> TextTable:
    encoding, remarks = encoding_of(path, where)
    with open_file(path, encoding=encoding, newline="") as opened:
        sample = opened.read(1 << 16)
    if not sample.strip():
        raise UserError(f"{where} is empty; complete it or remove it")
    said = re.match(r'\W?sep=(.)"?\r?\n', sample)  # Excel's own line before the header
    if not said:
        cut = sample if len(sample) < 1 << 16 else sample[: sample.rfind("\n") + 1] or sample
        delimiter = delimiter_of(cut) or ("\t" if path.suffix.lower() == ".tsv" else ",")
    else:
        delimiter = said[1]
    skip = 1 if said else 0
    header = sample[said.end() if said else 0 :].lstrip().partition("\n")[0]
    spaced = f"{delimiter} " in header  # `filename, label`
    first = next(_csv_rows(path, encoding, delimiter, skip, spaced), None)
    if first is None:
        raise UserError(f"{where} is empty; complete it or remove it")
    headed = is_header(first)
    names = _unique(first if headed else [""] * len(first))

    def batches(columns: Sequence[str], size: int) -> Iterator[Columns]:
        rows = _csv_rows(path, encoding, delimiter, skip, spaced)
        rows = itertools.islice(rows, 1 if headed else 0, None)
        places = {name: names.index(name) for name in columns}
        number = 0
        try:
            while block := list(itertools.islice(rows, size)):
                if set(map(len, block)) != {len(names)}:
                    block = list(_evened(block, len(names), number, where, path))
                number += len(block)
                yield {name: [row[at] for row in block] for name, at in places.items()}
        except csv.Error as error:
            raise _damaged(where, error) from error

    return TextTable(where, names, batches, remarks, headed)


def _csv_rows(
    path: Path, encoding: str, delimiter: str, skip: int, spaced: bool
) -> Iterator[list[str]]:
    """The rows of a file, without empty lines."""
    with open_file(path, encoding=encoding, newline="") as opened:
        for _ in range(skip):
            opened.readline()
        yield from filter(None, csv.reader(opened, delimiter=delimiter, skipinitialspace=spaced))


def _evened(
    rows: list[list[str]], width: int, before: int, where: str, path: Path
) -> Iterator[list[str]]:
    """Rows of `width` cells, without empty cells beyond it.

    Raises UserError for a row with more or fewer: its values would stand in other columns.
    """
    for number, row in enumerate(rows, before + 1):
        if len(row) > width and not any(row[width:]):
            row = row[:width]
        if len(row) == width - 1 and _ends_in_a_line(path):
            row = [*row, ""]  # spreadsheets leave out a last cell that is empty
        if len(row) != width:
            why = "the file is cut off" if len(row) < width else "a cell needs quotes"
            raise UserError(
                f"{where}, row {number}, has {len(row)} of {width} columns"
                f" ({printable(', '.join(row), 60)!r}): {why}; correct it"
            )
        yield row


def _ends_in_a_line(path: Path) -> bool:
    with open_file(path, "rb") as opened:
        opened.seek(max(0, path.stat().st_size - 4))
        return opened.read().rstrip(b"\0")[-1:] in (b"\n", b"\r")


def _unique(header: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, trimmed; those without one, and second ones, are numbered."""
    names = list[str]()
    for number, written in enumerate(header, 1):
        name = written.strip().lstrip("\ufeff") or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return tuple(names)


# -- JSON and Parquet


def _json_lines(path: Path, where: str) -> TextTable:
    encoding, remarks = encoding_of(path, where)

    def records() -> Iterator[dict[str, Any]]:
        with open_file(path, encoding=encoding) as opened:
            lines = ((number, line) for number, line in enumerate(opened, 1) if line.strip())
            for number, line in lines:
                try:
                    record = parsed_json(line)
                except ValueError as error:
                    raise UserError(
                        f"{where}, line {number}, is no JSON ({error}); correct it, or get the"
                        " file again where it is cut off"
                    ) from error
                if not isinstance(record, dict):
                    raise UserError(f"{where}, line {number}, is no JSON object; correct it")
                yield record

    return _of_records(records, where, remarks)


def _json_array(path: Path, where: str) -> TextTable:
    """A JSON array of objects, or an object from paths to labels."""
    if path.stat().st_size > _LARGEST_JSON:
        raise UserError(f"{where} is too large for a JSON array; write a JSONL, an object a line")
    encoding, remarks = encoding_of(path, where)
    content = parsed_json(plain_text(path, encoding))
    if isinstance(content, dict):
        content = _labels_in(content)
    if isinstance(content, dict):
        pairs = content.items()
        content = [{"file": key, "label": value} for key, value in pairs if _is_cell(value)]
        if len(content) < len(pairs):
            content = []
    given = content if isinstance(content, list) else []
    records = [record for record in given if isinstance(record, dict)]
    if not records:
        raise UserError(f"{where} is neither a JSON array of objects nor an object of labels")
    return _of_records(lambda: iter(records), where, remarks)


def _labels_in(content: dict[str, Any]) -> Any:
    """What stands below `labels`: FiftyOne has the names beside it, StyleGAN has pairs."""
    labels, classes = content.get("labels"), content.get("classes")
    if isinstance(labels, dict) and isinstance(classes, list):
        return {
            key: str(classes[value])
            if isinstance(value, int) and 0 <= value < len(classes)
            else value
            for key, value in labels.items()
        }
    arrays = {key: value for key, value in content.items() if _is_of_records(value)}
    if arrays and all(map(split_of, arrays)):  # {"train": [{...}], "test": [["1.jpg", 0, "gnu"]]}
        return [{**_record(item), "split": key} for key, items in arrays.items() for item in items]
    if len(arrays) == 1 and "annotations" not in content:  # {"images": [{...}]}
        (items,) = arrays.values()
        return [_record(item) for item in items if "detections" not in item]
    if isinstance(labels, list):
        pairs = [pair for pair in labels if isinstance(pair, list) and len(pair) == 2]
        if len(pairs) == len(labels):
            return {str(key): value for key, value in pairs}
    return content


def _is_of_records(value: Any) -> bool:
    """Whether it is an array of objects, or of a path with a number and a name."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, dict) or _is_triple(item) for item in value)
    )


def _is_triple(item: Any) -> bool:
    return isinstance(item, list) and list(map(type, item)) == [str, int, str]


def _record(item: Any) -> dict[str, Any]:
    return item if isinstance(item, dict) else {"file": item[0], "label": item[2]}


def _is_cell(value: Any) -> bool:
    return isinstance(value, str | int) or (
        isinstance(value, list) and all(isinstance(item, str | int) for item in value)
    )


def _of_records(
    records: Callable[[], Iterable[dict[str, Any]]], where: str, remarks: tuple[str, ...]
) -> TextTable:
    known: dict[str, None] = {}
    try:
        for record in itertools.islice(records(), SAMPLE):
            known |= dict.fromkeys(record)
    except UserError:
        if not known:
            raise
    names = tuple(known)

    def batches(columns: Sequence[str], size: int) -> Iterator[Columns]:
        rest = iter(records())
        while block := list(itertools.islice(rest, size)):
            yield {name: [text_of(record.get(name)) for record in block] for name in columns}

    return TextTable(where, names, batches, remarks)


def _table_of_paths(path: Path, where: str) -> TextTable:
    """The columns of a Parquet or Arrow file, without its pictures."""
    schema = schema_of(path)
    names = tuple(field.name for field in schema if is_plain(field.type))
    features = features_of(schema)
    class_names = {name: names_of_type(features.get(name)) for name in names}

    def batches(columns: Sequence[str], size: int) -> Iterator[Columns]:
        for batch in batches_of(path, columns, size):
            yield {
                name: texts_of(batch.column(name).to_pylist(), class_names[name])
                for name in columns
            }

    return TextTable(where, names, batches)


def _damaged(where: str, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UserError(f"{where} cannot be read ({reason}); correct it, or get it again")
