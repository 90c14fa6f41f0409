"""Photos listed by metadata.csv or metadata.jsonl, as in image folders of Hugging Face."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.parts.datasets.layouts.interface import (
    ColumnNames,
    FolderContents,
    SplitRows,
    label_column,
    present,
    split_of,
)

_FILE_NAMES = ("metadata.csv", "metadata.jsonl")
_COLUMN = "file_name"


class MetadataList:
    """One list at the top or one in each split's folder; file_name is a path from its list."""

    def recognises(self, root: Path) -> bool:
        return any(_has_file_names(path) for path, _ in _lists(root))

    def contents(self, root: Path, columns: ColumnNames) -> FolderContents:
        splits: dict[str, SplitRows] = {}
        for path, folder in _lists(root):
            rows = list(_rows(path))
            if not rows:
                raise UserError(f"{path} lists no photo; complete it or remove it")
            names = list(rows[0])
            label = label_column(names, columns, path)
            group = present(columns.group, names, "group_column", path) if columns.group else ""
            for number, row in enumerate(rows, 1):
                if not row.get(_COLUMN):
                    raise UserError(
                        f"row {number} of {path} has no {_COLUMN}; correct or remove it"
                    )
                ref = f"{folder}/{row[_COLUMN]}".strip("/")
                split = split_of(folder or ref.partition("/")[0]) or ""
                photos = splits.setdefault(split, SplitRows([], [], []))
                photos.refs.append(ref)
                photos.labels.append(row.get(label))
                if group:
                    photos.groups.append(row.get(group))
        if "" in splits and len(splits) > 1:
            raise UserError(
                f"{splits[''].refs[0]} lies in no split's folder, while"
                f" {next(s for s in splits if s)} has one; move it into one in {root}"
            )
        return FolderContents(splits)

    def read(self, root: Path, ref: str) -> None:
        return None

    def stamp(self, root: Path, ref: str) -> None:
        return None


def _lists(root: Path) -> list[tuple[Path, str]]:
    """(list, the folder that its paths start from) of every list."""
    at_top = [(root / name, "") for name in _FILE_NAMES if (root / name).is_file()]
    below = [
        (path, path.parent.name)
        for name in _FILE_NAMES
        for path in sorted(root.glob(f"*/{name}"))
        if split_of(path.parent.name)
    ]
    return at_top or below


def _has_file_names(path: Path) -> bool:
    return _COLUMN in next(_rows(path), {})


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as opened:
            if path.suffix == ".csv":
                yield from csv.DictReader(opened)
                return
            for line in opened:
                if line.strip():
                    row = json.loads(line)
                    yield row if isinstance(row, dict) else {}
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}); correct it") from error
