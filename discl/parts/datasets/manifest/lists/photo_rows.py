"""Rows of a manifest from lists whose columns are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from discl.core.errors import UserError
from discl.core.text import counted
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.columns import coded, some
from discl.parts.datasets.manifest.lists.label_cells import with_column, with_single_labels
from discl.parts.datasets.manifest.lists.list_columns import are_numbered_splits, is_yes
from discl.parts.datasets.manifest.lists.raw_rows import (
    Noticed,
    PhotoList,
    path_remarks,
    raw_batches,
)
from discl.parts.datasets.manifest.naming.class_files import class_list
from discl.parts.datasets.manifest.naming.numbered_names import (
    named_beside,
    named_by_folders,
    named_by_photos,
    numbers_in,
    renamed,
)
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions, row_schema
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import (
    NUMBERED_SPLITS,
    SPLIT_FLAGS,
    is_missing,
    plain_name,
    split_of,
)

if TYPE_CHECKING:
    import pyarrow as pa


def list_contents(
    tree: FileTree, lists: Sequence[PhotoList], options: ReadOptions, folder_labels: bool = False
) -> Contents:
    """The photos of lists, in their order; `folder_labels`: the class is the photo's folder.

    Rows of photos that are not there are kept, so that they are counted. Raises UserError, with
    the file and the row, for photos outside the root, splits of unknown names, numbers with two
    names, and lists without a row.
    """
    import pyarrow as pa

    remarks = list[str]()
    tables = []
    for photos in lists:
        noticed = Noticed()
        batches = list(raw_batches(tree, photos, noticed))
        if not sum(batch.num_rows for batch in batches):
            raise UserError(f"{photos.ref} lists no photo; complete it or remove it")
        remarks += [*photos.table.remarks, *photos.columns.remarks]
        remarks += path_remarks(tree, photos, noticed)
        rows = pa.concat_tables(batches).unify_dictionaries()
        rows = _with_splits(rows, photos, options)
        rows, label_remarks = with_single_labels(rows, photos.ref)
        remarks += label_remarks
        # of one type in all lists, whether cells were changed or not
        tables.append(with_column(rows, "label", rows["label"].dictionary_encode()))
    rows = pa.concat_tables(tables).unify_dictionaries()
    decisions = _decisions(lists)
    if folder_labels:
        rows = with_column(rows, "label", _folder_column(rows))
        decisions.append(Decision("label", "the folder of each photo", "no column is the class"))
    names = None
    if numbers_in(rows):
        rows, names, named_decision, named_remarks = _with_names(tree, rows, lists)
        decisions += named_decision
        remarks += named_remarks
    elif any(photos.columns.names for photos in lists):
        rows = _with_words(rows)
    more, folder_remarks = list[Decision](), list[str]()
    if not any(photos.are_refs for photos in lists):
        rows, more, folder_remarks = _with_folder_splits(rows)
    remarks += [*folder_remarks, *unlisted(tree, rows)]
    return Contents(_typed(rows), names, (*decisions, *more), tuple(remarks))


def _decisions(lists: Sequence[PhotoList]) -> list[Decision]:
    """What was decided of the lists, once where it is the same of several."""
    if len(lists) == 1:
        return list(lists[0].columns.decisions)
    return list(
        dict.fromkeys(
            made._replace(choice=made.choice.replace(f" of {photos.ref}", " of the lists"))
            for photos in lists
            for made in photos.columns.decisions
        )
    )


# -- splits


def _with_splits(rows: pa.Table, photos: PhotoList, options: ReadOptions) -> pa.Table:
    """Rows with our names of splits, from the column or the list's name.

    Raises UserError for a split of an unknown name.
    """
    import pyarrow as pa

    column = photos.columns.split
    if not column:
        split = pa.array([photos.split], pa.string()).take(pa.array([0] * rows.num_rows, pa.int8()))
        return with_column(rows, "split", pa.chunked_array([split]))
    splits = coded(rows["split"])
    flags = SPLIT_FLAGS.get(plain_name(column))
    found = [_split(value, flags, options) for value in splits.values]
    counts = dict(zip(splits.values, splits.counts, strict=True))
    if are_numbered_splits(column, counts):
        found = [NUMBERED_SPLITS[value.strip().removesuffix(".0")] for value in splits.values]
    unknown = [
        value
        for value, split in zip(splits.values, found, strict=True)
        if split is None and not is_missing(value)
    ]
    if unknown:
        named = some(f"{value!r} in {counted(counts[value], 'row')}" for value in unknown)
        raise UserError(
            f"{photos.ref}, column {column}, holds {named}: no name of a split; write train, val or"
            " test, or list names of splits with photos from elsewhere in dataset.ood"
        )
    return with_column(rows, "split", splits.column(found))


def _split(value: str, flags: tuple[str, str] | None, options: ReadOptions) -> str | None:
    if flags is not None and (yes := is_yes(value)) is not None:
        return flags[0] if yes else flags[1]
    return value.strip() if value.strip() in options.ood else split_of(value)


def _with_folder_splits(rows: pa.Table) -> tuple[pa.Table, list[Decision], list[str]]:
    """Rows with the split that their folder names, where no list and no column says any."""
    import pyarrow.compute as pc

    if rows["split"].null_count < rows.num_rows:
        return rows, [], []
    folders = coded(pc.replace_substring_regex(rows["ref"], r"/?[^/]*$", ""))
    labels = set(coded(rows["label"]).values)
    depth = max((folder.count("/") for folder in folders.values), default=-1) + 1
    for level in range(depth):
        parts = [[*folder.split("/"), *[""] * depth][level] for folder in folders.values]
        found = [None if part in labels else split_of(part) for part in parts]
        if "train" not in found or len(set(found) - {None}) < 2:
            continue
        rows = with_column(rows, "split", folders.column(found))
        empty = rows["split"].null_count
        remarks = [f"{counted(empty, 'photo')} in no split's folder"] if empty else []
        named = dict.fromkeys(part for part, split in zip(parts, found, strict=True) if split)
        decision = Decision("split", f"folders {', '.join(named)}", "no column says the split")
        return rows, [decision], remarks
    return rows, [], []


# -- classes


def _folder_column(rows: pa.Table) -> pa.ChunkedArray:
    import pyarrow.compute as pc

    folders = coded(pc.replace_substring_regex(rows["ref"], r"/?[^/]*$", ""))
    names = [folder.rpartition("/")[2] for folder in folders.values]
    if not all(map(split_of, names)):  # a flat folder of a split has no class
        names = ["" if split_of(name) else name for name in names]
    return folders.column([name or None for name in names])


def _with_words(rows: pa.Table) -> pa.Table:
    """Rows whose label is the word beside it."""
    import pyarrow.compute as pc

    words = rows["name"].cast("string")
    return with_column(rows, "label", pc.coalesce(words, rows["label"].cast("string")))


def _with_names(
    tree: FileTree, rows: pa.Table, lists: Sequence[PhotoList]
) -> tuple[pa.Table, tuple[str, ...] | None, list[Decision], list[str]]:
    """Rows with names for the numbers in `label`, where a column, a file or folders name them."""
    numbers = [value for value in coded(rows["label"]).values if not is_missing(value)]
    beside = next((photos for photos in lists if photos.columns.names), None)
    column = next((photos.columns.labels[0] for photos in lists if photos.columns.labels), "")
    remarks = list[str]()
    if beside is not None:
        pair = (beside.columns.labels[0], beside.columns.names)
        named, remarks = named_beside(rows, rows["name"], pair, beside.ref)
        decisions = list[Decision]()  # said where the column was found
    elif listed := class_list(tree, numbers, column, [photos.ref for photos in lists]):
        named = listed
        decisions = [Decision("class names", listed.source, "it names every number")]
    elif not lists[0].are_refs and (by_folder := named_by_folders(rows)):
        named = by_folder
        decisions = [Decision("class names", named.source, "each number fits one folder")]
    elif not lists[0].are_refs and (by_photo := named_by_photos(rows)):
        named = by_photo
        decisions = [Decision("class names", named.source, "each number fits one name")]
    else:
        return rows, None, [], []

    def place(row: int) -> str:
        return f"{rows['source'][row].as_py()}, row {rows['row'][row].as_py()},"

    rows, names = renamed(rows, named, place)
    return rows, names, decisions, remarks


# -- the end


def unlisted(tree: FileTree, rows: pa.Table) -> list[str]:
    """A sentence about pictures that no list names."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pictures = pa.array(tree.pictures, pa.string())
    extra = pictures.filter(pc.invert(pc.is_in(pictures, rows["ref"].combine_chunks())))
    if not len(extra):
        return []
    told = f"{counted(len(extra), 'picture')} that no list names"
    return [f"{told} ({examples(extra.to_pylist())}): not used"]


def _typed(rows: pa.Table) -> pa.Table:
    """Rows with the columns and types of a manifest."""
    import pyarrow as pa

    schema = row_schema()
    return pa.table(
        {field.name: rows[field.name].cast(field.type) for field in schema},
        schema=schema,
    )
