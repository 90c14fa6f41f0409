"""Cells of lists as rows: references of photos, everything else as it is written."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.text import counted, printable
from discl.parts.datasets.manifest.lists.choice import folder_of_list
from discl.parts.datasets.manifest.lists.list_boxes import boxes_of
from discl.parts.datasets.manifest.lists.list_columns import ListColumns, is_yes
from discl.parts.datasets.manifest.lists.lookup import Finder, finders, joined
from discl.parts.datasets.manifest.lists.reading import BATCH, Columns, TextTable
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import split_of

if TYPE_CHECKING:
    import pyarrow as pa

_TEXTS = ("label", "name", "split", "group")  # with few distinct values
_TOLD = 3  # rows in a remark


class PhotoList(NamedTuple):
    """One list of photos: its file, how it is read, its columns, and the split that it is of."""

    ref: str
    table: TextTable
    columns: ListColumns
    split: str | None = None
    are_refs: bool = False  # whether the cells of the image column are references already


@dataclass
class Noticed:
    """What is odd about the cells that should name photos: how many, and the first ones."""

    missing: int = 0
    nameless: int = 0
    outside: int = 0
    spelled: int = 0
    first: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, cell: str, row: int, more: str = "") -> None:
        setattr(self, what, getattr(self, what) + 1)
        told = self.first.setdefault(what, [])
        if len(told) < _TOLD:
            told.append(f"{printable(cell, 80)!r} in row {row}{more}" if cell else f"row {row}")


def raw_batches(tree: FileTree, photos: PhotoList, noticed: Noticed) -> Iterator[pa.Table]:
    """Rows with references and otherwise unchanged cells."""
    import pyarrow as pa

    columns = photos.columns
    number = 0
    for batch in photos.table.batches(columns.used, BATCH):
        written = batch[columns.image]
        rows = range(number + 1, number + 1 + len(written))
        number += len(written)
        refs = written if photos.are_refs else _refs(tree, photos, batch, rows, noticed)
        given = {
            "ref": refs,
            "label": _labels(batch, columns.labels),
            "name": batch.get(columns.names),
            "split": batch.get(columns.split),
            "group": batch.get(columns.group),
            "sequence": batch.get(columns.sequence),
            "caption": batch.get(columns.caption),
        }
        arrays = {name: _texts(cells, len(refs), name in _TEXTS) for name, cells in given.items()}
        arrays["source"] = pa.array([photos.ref], pa.string()).dictionary_encode()
        arrays["source"] = arrays["source"].take(pa.array(np.zeros(len(refs), np.int8)))
        arrays["box"] = boxes_of(batch, columns.box)
        arrays["row"] = pa.array(np.asarray(rows), pa.int64())
        found = pa.table(arrays)
        yield found if None not in refs else found.filter(arrays["ref"].is_valid())


def _texts(cells: Sequence[str | None] | None, count: int, few: bool) -> Any:
    """Cells as Arrow text, null where they are empty; `few`: coded by distinct values."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if cells is None:
        array = pa.nulls(count, pa.string())
        return array.dictionary_encode() if few else array
    array = pa.array(cells, pa.string())
    if "" in cells:
        array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    return array.dictionary_encode() if few else array


def _refs(
    tree: FileTree, photos: PhotoList, batch: Columns, rows: range, noticed: Noticed
) -> list[str | None]:
    """The reference of each cell; that of a file that is not there is its path below the root.

    Where the same name lies in the folders of several splits, the split of the row says which.
    """
    folder = folder_of_list(photos.ref)
    of_split = {photos.split: finders(tree, photos.ref, photos.split)}
    find, resolve = of_split[photos.split]
    of_cell: dict[str | None, tuple[Finder, Finder]] = {}
    splits = batch.get(photos.columns.split)
    refs = list[str | None]()
    for at, cell in enumerate(image_cells(batch, photos.columns)):
        if splits is not None:
            if (written := splits[at]) not in of_cell:
                split = split_of(written or "")
                if split not in of_split:
                    of_split[split] = finders(tree, photos.ref, split)
                of_cell[written] = of_split[split]
            find, resolve = of_cell[written]
        ref = find(cell) if cell else None
        if ref is None:
            if not cell or not cell.strip():
                noticed.add("nameless", "", rows[at])
            elif (ref := resolve(cell)) is None:
                ref = _as_written(cell, folder)
                noticed.add("missing" if ref else "outside", cell, rows[at])
            else:
                noticed.add("spelled", cell, rows[at], f" is {ref}")
        refs.append(ref)
    return refs


def image_cells(batch: Columns, columns: ListColumns) -> Sequence[str | None]:
    """What names the photos of rows, with the folder from another column before it."""
    cells = batch[columns.image]
    if not columns.folder:
        return cells
    pairs = zip(batch[columns.folder], cells, strict=True)
    return [joined(folder, cell) for folder, cell in pairs]


def _as_written(cell: str, folder: str) -> str | None:
    """The path below the root of a file that is not there; None = it lies outside the root."""
    text = cell.strip().replace("\\", "/")
    if text.startswith("/") or re.match(r"[A-Za-z]:/|[a-z][a-z0-9+.-]+://", text):
        return None
    ref = posixpath.normpath(posixpath.join(folder, text))
    return None if ref in (".", "..") or ref.startswith("../") else ref


def _labels(batch: Columns, labels: Sequence[str]) -> list[str | None] | None:
    """The cells of the label; of several columns of 0 and 1 the names of those with 1."""
    if not labels:
        return None
    if len(labels) == 1:
        return batch[labels[0]]
    marked = [
        [name for name, cell in zip(labels, cells, strict=True) if is_yes(cell)]
        for cells in zip(*(batch[name] for name in labels), strict=True)
    ]
    # several are an array, as JSON writes it
    return [
        None if not found else found[0] if len(found) == 1 else json.dumps(found)
        for found in marked
    ]


def path_remarks(tree: FileTree, photos: PhotoList, noticed: Noticed) -> list[str]:
    """What is said of cells that name no photo; raises UserError for one outside."""
    column = photos.columns.image
    if noticed.outside:
        first = noticed.first["outside"][0]
        kind = (
            "is an address: download the photos first"
            if "://" in first
            else (f"does not lie in {tree.root}: write paths from the list's folder")
        )
        raise UserError(
            f"{photos.ref}, column {column}: {first} {kind}"
            + (f" ({noticed.outside:,} such rows)" if noticed.outside > 1 else "")
        )
    remarks = []
    if noticed.spelled:
        remarks.append(
            f"{photos.ref}: {counted(noticed.spelled, 'row')} found by another spelling or folder"
            f" ({noticed.first['spelled'][0]})"
        )
    if noticed.nameless:
        remarks.append(
            f"{photos.ref}: {counted(noticed.nameless, 'row')} without a photo in column {column}"
            f" left out ({', '.join(noticed.first['nameless'])})"
        )
    if noticed.missing:
        remarks.append(
            f"{photos.ref}: {counted(noticed.missing, 'row')} of photos that are not there"
            f" ({', '.join(noticed.first['missing'])})"
        )
    return remarks
