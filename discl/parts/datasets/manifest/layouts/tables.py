"""Pictures inside the files of Hugging Face `datasets`: Parquet, `save_to_disk`, its cache."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from discl.core.errors import UserError
from discl.core.text import listed
from discl.files.sources import safe_path
from discl.parts.datasets.base.photo_contents import Place
from discl.parts.datasets.manifest.files.hub_card import splits_of_card
from discl.parts.datasets.manifest.layouts.table_cells import (
    Features,
    batches_of,
    cell_of,
    features_of,
    is_plain,
    names_of_type,
    paths_alone,
    picture,
    pictures_of,
    rows_of,
    schema_of,
    texts_of,
)
from discl.parts.datasets.manifest.layouts.table_files import (
    first_of_each,
    of_one_configuration,
    split_of_table,
    table_refs,
)
from discl.parts.datasets.manifest.lists.list_columns import ListColumns, found_columns
from discl.parts.datasets.manifest.lists.photo_rows import list_contents
from discl.parts.datasets.manifest.lists.raw_rows import PhotoList
from discl.parts.datasets.manifest.lists.reading import SAMPLE, Columns, TextTable
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import IMAGE_COLUMNS, LABEL_COLUMNS, plain_name

if TYPE_CHECKING:
    import pyarrow as pa

_REF = re.compile(r"(?P<path>.+\.(parquet|arrow))#(?P<column>.+)#(?P<row>\d+)", re.IGNORECASE)


class _Table(NamedTuple):
    """A file with pictures."""

    ref: str
    image: str  # the column
    schema: pa.Schema
    features: Features


class TableFiles:
    """Columns are found by the types that `datasets` wrote, by usual names and by their cells.

    A photo's reference is its file, column and row; where a cell holds a path and no picture, it is
    that of the file as long as it lies below the root.
    """

    title = "tables with pictures"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        return any(
            _pictures(schema)
            for ref in first_of_each(table_refs(tree, options))
            if (schema := _schema(tree, ref)) is not None
        )

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        tables = [
            table for ref in table_refs(tree, options) if (table := _table(tree, ref, options))
        ]
        refs = [table.ref for table in tables]
        card = {} if options.table else splits_of_card(tree, options)
        if card.keys() & set(refs):
            refs = [ref for ref in refs if ref in card]
            chosen = [Decision("split", f"README.md for {listed(refs[:4])}", "its configs")]
        else:
            card = {}
            refs, chosen = of_one_configuration(refs, options.configuration, tree.root)
        tables = [table for table in tables if table.ref in refs]
        splits = [card.get(ref) or split_of_table(tree, ref) for ref in refs]
        lists = [
            _photo_list(tree, table, options, split)
            for table, split in zip(tables, splits, strict=True)
        ]
        contents = list_contents(tree, lists, options, folder_labels=False)
        orders = [_class_names(table, photos) for table, photos in zip(tables, lists, strict=True)]
        if orders[0] is not None and all(order == orders[0] for order in orders):
            contents = replace(contents, names=orders[0])
        unused = sorted(set(table_refs(tree, options)) - set(refs))
        remarks = [f"{listed(unused[:4])} not used: no pictures in it"] if unused else []
        return contents.with_rows(contents.rows, *(remarks if not chosen else [])).decided(*chosen)

    def read(self, root: Path, ref: str) -> bytes | None:
        place = self.place(ref)
        if place is None:
            return None
        path = root / safe_path(place.path)
        cell = cell_of(path, place.column, place.row)
        content = picture(cell, root)
        if content is None:
            raise UserError(f"{ref} holds no picture{_where(cell)}; write the table again")
        return content

    def place(self, ref: str) -> Place | None:
        found = _REF.fullmatch(ref)
        if not found:
            return None
        return Place(path_of(found["path"]), found["column"], int(found["row"]), named=False)

    def cells(self, root: Path, path: str, column: str) -> Iterable[bytes | None]:
        return pictures_of(root / path, column, root)


def _schema(tree: FileTree, ref: str) -> pa.Schema | None:
    """The schema of a file; None where it is damaged and pictures lie beside it."""
    try:
        return schema_of(tree.root / path_of(ref))
    except UserError:
        if not tree.pictures:
            raise
        return None


def _where(cell: object) -> str:
    """What a cell names that has no picture."""
    path = cell.get("path") if isinstance(cell, dict) else None
    return f", and {path} is not there" if path else ""


# -- the columns


def _table(tree: FileTree, ref: str, options: ReadOptions) -> _Table | None:
    schema = schema_of(tree.root / path_of(ref))
    image = _image_column(ref, schema, options)
    return _Table(ref, image, schema, features_of(schema)) if image else None


def _pictures(schema: pa.Schema) -> list[str]:
    """The columns that hold pictures, those that `datasets` calls so first."""
    import pyarrow as pa

    features = features_of(schema)
    typed = [
        name
        for name in schema.names
        if features.get(name, {}).get("_type") == "Image"
        and not pa.types.is_string(schema.field(name).type)
    ]
    with_bytes = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    binary = [
        field.name
        for field in schema
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)
    ]
    usual = [name for name in binary if plain_name(name) in IMAGE_COLUMNS]
    return typed or with_bytes or usual or binary[:1]


def _image_column(ref: str, schema: pa.Schema, options: ReadOptions) -> str:
    """The column with the pictures; "" = none holds any."""
    able = _pictures(schema)
    if options.image_column:
        if options.image_column not in schema.names:
            raise UserError(
                f"dataset.image_column = {options.image_column!r}: {ref} has the columns"
                f" {', '.join(schema.names)}"
            )
        return options.image_column if options.image_column in able else ""
    usual = [name for name in able if plain_name(name) in IMAGE_COLUMNS]
    if len(able) > 1 and len(usual) != 1:
        raise UserError(
            f"{ref} has the columns {', '.join(schema.names)}: several could be the image"
            f" ({', '.join(able)}); set dataset.image_column"
        )
    return (usual or able or [""])[0]


def _photo_list(
    tree: FileTree, table: _Table, options: ReadOptions, split: str | None
) -> PhotoList:
    """A table as a list whose cells of the image column are references."""
    text = _text_table(tree, table)
    sample = text.sample()
    label = options.label_column or _typed_label(table)
    found = found_columns(
        sample, table.ref, replace(options, image_column="", label_column=label), (), table.image
    )
    columns = found or ListColumns(table.image)
    if label and not options.label_column:
        columns = columns._replace(
            decisions=tuple(
                decision._replace(why="its type is that of a class")
                if decision.why == "dataset.label_column"
                else decision
                for decision in columns.decisions
            )
        )
    if not columns.labels:
        raise UserError(
            f"{table.ref} has the columns {', '.join(table.schema.names)}: which of them is the"
            " class? set dataset.label_column"
        )
    return PhotoList(table.ref, text, columns, split, are_refs=True)


def _typed_label(table: _Table) -> str:
    """The column that `datasets` calls a class; "" = none, or several without a usual name."""
    typed = [name for name in table.schema.names if names_of_type(table.features.get(name))]
    typed = [name for name in typed if plain_name(name) not in ("split", "fold")]
    usual = [name for name in LABEL_COLUMNS if name in map(plain_name, typed)]
    if len(typed) > 1 and not usual:
        raise UserError(
            f"{table.ref} has the columns {', '.join(table.schema.names)}: several could be the"
            f" label ({', '.join(typed)}); set dataset.label_column"
        )
    return next((name for name in typed if not usual or plain_name(name) == usual[0]), "")


def _class_names(table: _Table, photos: PhotoList) -> tuple[str, ...] | None:
    names = names_of_type(table.features.get(photos.columns.labels[0]))
    return names or None


# -- the cells


def _text_table(tree: FileTree, table: _Table) -> TextTable:
    path = tree.root / path_of(table.ref)
    columns = tuple(
        field.name for field in table.schema if field.name == table.image or is_plain(field.type)
    )
    class_names = {name: names_of_type(table.features.get(name)) for name in columns}

    def batches(wanted: Sequence[str], size: int) -> Iterator[Columns]:
        texts = [name for name in wanted if name != table.image]
        refs = _row_refs(tree, table, path) if size > SAMPLE else None
        start = 0
        for batch in batches_of(path, texts, size):
            rows = range(start, start + batch.num_rows)
            start += batch.num_rows
            found: Columns = {}
            for name in wanted:
                if name == table.image:
                    found[name] = refs(rows) if refs else [""] * len(rows)
                else:
                    found[name] = texts_of(batch.column(name).to_pylist(), class_names[name])
            yield found

    return TextTable(table.ref, columns, batches)


def _row_refs(tree: FileTree, table: _Table, path: Path) -> Callable[[range], list[str | None]]:
    """What gives the references of rows.

    Raises UserError where cells hold paths, no pictures, and none of the paths is there.
    """
    paths = paths_alone(path, table.image)

    def refs_in_table(rows: range) -> list[str | None]:
        return [f"{table.ref}#{table.image}#{row}" for row in rows]

    if not paths:
        return refs_in_table
    refs = refs_in_table(range(rows_of(path)))
    folder = table.ref.rpartition("/")[0]
    missing = 0
    for row, written in enumerate(paths):
        if not written:
            continue
        inside = tree.resolve(written, folder)
        refs[row] = inside or refs[row]
        missing += inside is None and not os.path.isfile(os.path.join(tree.root, written))
    if missing == len(paths):
        raise UserError(
            f"{table.ref} holds paths and no pictures, such as {paths[0]} in row 1, and none of"
            f" them is there; put the photos back or into {tree.root}, or write the table with the"
            " pictures in it"
        )
    return lambda rows: refs[rows.start : rows.stop]
