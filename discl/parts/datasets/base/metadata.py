"""Photos listed by metadata.csv or metadata.jsonl with a column file_name, as Hugging Face's image
folders have it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.parts.datasets.base.layout import Columns, Found, Wanted, label_column, present, split_of

_NAMES = ("metadata.csv", "metadata.jsonl")
_FILE = "file_name"


class Metadata:
    """One list at the top, or one in each split's folder; file_name is a path from where the list
    lies.
    """

    def recognises(self, root: Path) -> bool:
        return any(_has_file_names(path) for path, _ in _lists(root))

    def look(self, root: Path, wanted: Wanted) -> Found:
        splits: dict[str, Columns] = {}
        for path, folder in _lists(root):
            rows = list(_rows(path))
            if not rows:
                raise UserError(f"{path} lists no photo; complete it or remove it")
            names = list(rows[0])
            label = label_column(names, wanted, path)
            group = present(wanted.group, names, "group_column", path) if wanted.group else ""
            for number, row in enumerate(rows, 1):
                if not row.get(_FILE):
                    raise UserError(f"row {number} of {path} has no {_FILE}; correct or remove it")
                ref = f"{folder}/{row[_FILE]}".strip("/")
                columns = splits.setdefault(
                    split_of(folder or ref.partition("/")[0]) or "", Columns([], [], [])
                )
                columns.refs.append(ref)
                columns.labels.append(row.get(label))
                columns.groups.extend([row.get(group)] if group else [])
        if "" in splits and len(splits) > 1:
            raise UserError(
                f"{splits[''].refs[0]} lies in no split's folder, while"
                f" {next(s for s in splits if s)} has one; move it into one in {root}"
            )
        return Found(splits)

    def read(self, root: Path, ref: str) -> None:
        return None

    def stamp(self, root: Path, ref: str) -> None:
        return None


def _lists(root: Path) -> list[tuple[Path, str]]:
    """(list, the folder it speaks of)"""
    here = [(root / name, "") for name in _NAMES if (root / name).is_file()]
    below = [
        (path, path.parent.name)
        for name in _NAMES
        for path in sorted(root.glob(f"*/{name}"))
        if split_of(path.parent.name)
    ]
    return here or below


def _has_file_names(path: Path) -> bool:
    first = next(_rows(path), {})
    return _FILE in first


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
