"""A manifest as CSV: written to be corrected by hand, and read back."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from discl.core.errors import UserError
from discl.core.progress import shown_progress
from discl.core.text import printable
from discl.files.contents import Digests
from discl.files.disk import atomic_output
from discl.parts.datasets.base.photo_contents import Place
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.columns import coded
from discl.parts.datasets.manifest.layouts.tables import TableFiles
from discl.parts.datasets.manifest.lists.reading import BATCH, TextTable, open_table
from discl.parts.datasets.manifest.pictures import pictures_of
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions, RowBuilder
from discl.parts.datasets.manifest.store import Manifest
from discl.parts.datasets.manifest.tree import FileTree

HEADER = (
    "path",
    "label",
    "split",
    "group",
    "sequence",
    "box",
    "caption",
    "source",
    "row",
    "digest",
)
_MARKS = {"path", "label", "split", "source", "row"}  # columns that tell an exported manifest
_ENDINGS = (".csv", ".tsv", ".txt")
# what a spreadsheet would take for a formula, a number or a date
_NO_TEXT = re.compile(r"[=+\-@\t\r\n'].*|0\d+|\d{12,}|\d+[eE]\d+|\d+[-/.]\d+([-/.]\d+)?", re.DOTALL)
_MOST_OTHER = 0.5  # share of photos with other contents, beyond which it is another folder


class ExportedManifest:
    """A file that `export` wrote, as `dataset.table`."""

    title = "exported manifest"

    def __init__(self) -> None:
        self._tables = TableFiles()

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        path = table_path(tree.root, options.table)
        if not options.table or path.suffix.lower() not in _ENDINGS or not path.is_file():
            return False
        return set(_opened(path).names) >= _MARKS

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        path = table_path(tree.root, options.table)
        table = _opened(path)
        known = frozenset(tree.pictures)
        builder = RowBuilder()
        digests: dict[str, tuple[str, int]] = {}  # reference -> (digest, row)
        number = 0
        for batch in table.batches(table.names, BATCH):
            cells = {name: [_plain(cell) for cell in batch.get(name, [])] for name in HEADER[1:]}
            refs = []
            for cell in batch["path"]:
                number += 1
                refs.append(self._ref(cell, tree, known, f"{path} row {number}"))
            first = number - len(refs) + 1
            rows = list(range(first, number + 1))
            builder.extend(
                refs,
                **{
                    name: cells[name] or [None] * len(refs)
                    for name in ("label", "split", "group", "sequence", "caption")
                },
                box=[
                    _box(cell, f"{path} row {row}")
                    for cell, row in zip(cells["box"] or [None] * len(refs), rows, strict=True)
                ],
                source=[path.name] * len(refs),
                row=rows,
            )
            for ref, digest, row in zip(refs, cells["digest"], rows, strict=False):
                if digest:
                    digests.setdefault(ref, (digest, row))
        if not number:
            raise UserError(f"{path} lists no photo; export it anew with `discl data manifest`")
        remarks = [*table.remarks, *self._changes(tree, path, digests)]
        return Contents(
            builder.table(),
            decisions=(Decision("list", path.name, "dataset.table, an exported manifest"),),
            remarks=tuple(remarks),
            is_final=True,
        )

    def read(self, root: Path, ref: str) -> bytes | None:
        return self._tables.read(root, ref)

    def place(self, ref: str) -> Place | None:
        return self._tables.place(ref)

    def cells(self, root: Path, path: str, column: str) -> Iterable[bytes | None]:
        return self._tables.cells(root, path, column)

    def _ref(self, cell: str | None, tree: FileTree, known: frozenset[str], where: str) -> str:
        """The reference of a photo; one that is not there stays, and is counted later."""
        if not cell:
            raise UserError(f"{where} names no photo; complete or remove the row")
        ref = cell.removeprefix("./")
        if ref in known or self.place(ref) is not None:
            return ref
        return tree.resolve(ref) or ref

    def _changes(
        self, tree: FileTree, path: Path, digests: dict[str, tuple[str, int]]
    ) -> list[str]:
        """Sentences about photos with other contents than those that were exported.

        Raises UserError where so many have that the manifest is of another folder.
        """
        refs = list(digests)
        found = pictures_of(tree.root, self, refs, "reading the photos", shown_progress()).digests
        now = [digest.decode() for digest in found.tolist()]
        other = [ref for ref, digest in zip(refs, now, strict=True) if digest != digests[ref][0]]
        if not other:
            return []
        told = f"{examples(other)}; row {digests[other[0]][1]}"
        if len(other) > _MOST_OTHER * len(refs):
            raise UserError(
                f"{path} was exported from another folder than {tree.root}: {len(other)} of"
                f" {len(refs)} photos are not there or other pictures ({told}); give the folder"
                " that it is of, or export it anew with `discl data manifest`"
            )
        return [
            f"{len(other)} photo(s) are not there or other pictures than when {path.name} was"
            f" exported ({told})"
        ]


def table_path(root: Path, table: str) -> Path:
    """The file that `dataset.table` names, below `root` or else from the working folder."""
    inside = root / table
    return inside if inside.is_file() else Path(table).expanduser().absolute()


def export(manifest: Manifest, digests: Digests, path: Path) -> None:
    """Write a manifest as CSV, whole or not at all; `digests` [n] are those of its photos.

    A photo's digest stands in each of its rows. A path that a spreadsheet would take for a formula,
    a number or a date begins with ./, and another cell with an apostrophe; both are taken off where
    it is read back.
    """
    photo = coded(manifest.rows["ref"]).codes.tolist()
    with (
        atomic_output(path) as tmp,
        tmp.open("w", encoding="utf-8-sig", newline="") as opened,
    ):
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(HEADER)
        start = 0
        for batch in manifest.rows.to_batches(BATCH):
            for place, row in enumerate(batch.to_pylist(), start):
                writer.writerow(_cells(row, digests[photo[place]].decode()))
            start += len(batch)


def _cells(row: dict[str, Any], digest: str) -> list[str]:
    path = f"./{row['ref']}" if _NO_TEXT.fullmatch(row["ref"]) else row["ref"]
    box = "" if row["box"] is None else " ".join(f"{share:.6g}" for share in row["box"])
    number = "" if row["row"] is None else str(row["row"])
    texts = {name: _guarded(row[name]) for name in HEADER[1:8] if name != "box"}
    return [path, *[box if name == "box" else texts[name] for name in HEADER[1:8]], number, digest]


def _guarded(text: str | None) -> str:
    if text is None:
        return ""
    return f"'{text}" if _NO_TEXT.fullmatch(text) else text


def _plain(cell: str | None) -> str | None:
    """A cell as it was before `_guarded`; None where it is empty."""
    if not cell:
        return None
    return cell[1:] if cell[0] == "'" and _NO_TEXT.fullmatch(cell[1:]) else cell


def _box(cell: str | None, where: str) -> list[float] | None:
    if cell is None:
        return None
    try:
        shares = [float(part) for part in cell.replace(",", " ").split()]
    except ValueError:
        shares = []
    x, y, width, height = shares if len(shares) == 4 else (-1.0, 0.0, 0.0, 0.0)
    if not (0 <= x < 1 and 0 <= y < 1 and 0 < width <= 1.0001 - x and 0 < height <= 1.0001 - y):
        raise UserError(
            f"{where}: box = {printable(cell, 60)!r}; write x, y, width and height as shares of the"
            " photo, such as 0.25 0 0.5 1, or leave it empty"
        )
    return shares


def _opened(path: Path) -> TextTable:
    return open_table(path, str(path), lambda cells: "path" in cells)
