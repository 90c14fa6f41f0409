"""Splits that are described in different ways: class folders for train, a list for val."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from discl.core.errors import UserError
from discl.core.text import counted, listed
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.manifest.cleaning.spelling import spelling_key, tidy
from discl.parts.datasets.manifest.columns import coded, replaced
from discl.parts.datasets.manifest.layouts.class_folders import ClassFolders
from discl.parts.datasets.manifest.layouts.interface import Layout
from discl.parts.datasets.manifest.layouts.lists import (
    PhotoLists,
    lists_with_classes,
    lists_with_splits,
)
from discl.parts.datasets.manifest.layouts.text_lists import TextLists
from discl.parts.datasets.manifest.lists.photo_rows import unlisted
from discl.parts.datasets.manifest.lists.text_lines import text_lists
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions, RowBuilder
from discl.parts.datasets.manifest.tree import FileTree
from discl.parts.datasets.manifest.usual_names import split_of

if TYPE_CHECKING:
    import pyarrow as pa

_LEAST_SHARED = 0.5  # of the classes of one side that the other has, too


def with_other_splits(
    contents: Contents, layout: Layout, tree: FileTree, options: ReadOptions
) -> Contents:
    """Contents of a list with the splits that class folders alone have, and the other way round.

    Raises UserError where a list has no train, class folders have, and their classes differ.
    """
    if isinstance(layout, PhotoLists | TextLists):
        contents = _with_split_list(contents, tree, options)
        return _with_folders(contents, tree, options)
    if isinstance(layout, ClassFolders):
        return _with_lists(contents, tree, options)
    return contents


def _with_split_list(contents: Contents, tree: FileTree, options: ReadOptions) -> Contents:
    """A list's contents with the splits of another list, which has no classes."""
    import pyarrow as pa

    if coded(contents.rows["split"]).values:
        return contents
    asked = ReadOptions(ood=options.ood, split_column=options.split_column)
    for ref in lists_with_splits(tree, options):
        try:
            rows = PhotoLists().contents(tree, replace(asked, table=ref)).rows
        except UserError:
            continue
        split_of_photo = dict(zip(rows["ref"].to_pylist(), rows["split"].to_pylist(), strict=True))
        found = [split_of_photo.get(photo) for photo in contents.rows["ref"].to_pylist()]
        if "train" not in found:
            continue
        left = found.count(None)
        remarks = [f"{counted(left, 'row')} of photos that {ref} gives no split"] if left else []
        splits = pa.chunked_array([pa.array(found, pa.string())])
        contents = contents.with_rows(replaced(contents.rows, "split", splits), *remarks)
        return contents.decided(Decision("split", ref, "it names the photos and their splits"))
    return contents


def _with_folders(contents: Contents, tree: FileTree, options: ReadOptions) -> Contents:
    """A list's contents with the photos of class folders whose split it does not have."""
    splits = set(coded(contents.rows["split"]).values)
    if not splits or contents.rows["split"].null_count or _names_all(contents, tree):
        return contents
    try:
        rows = ClassFolders().contents(tree, replace(options, table="")).rows
    except UserError:  # they have no train
        rows = _in_class_folders(contents, tree)
    rows = _without(rows, contents.rows)
    found = [split or "train" for split in rows["split"].to_pylist()]
    kept = [split not in splits for split in found]
    if not any(kept):
        return contents
    import pyarrow as pa

    rows = replaced(rows, "split", pa.chunked_array([pa.array(found, pa.string())]))
    rows = rows.filter(pa.array(kept))
    names = listed(coded(contents.rows["source"]).values)
    if not _share_classes(contents.rows, rows):
        if "train" in splits:
            return contents
        classes = [examples(sorted(coded(each["label"]).values)) for each in (contents.rows, rows)]
        raise UserError(
            f"{names} lists {listed(sorted(splits))} alone, with the classes {classes[0]}, and the"
            f" folders of the others are called {classes[1]}; name the classes alike: where they"
            " are numbers, by a file classes.txt beside the list with a class a line"
        )
    before = set(unlisted(tree, contents.rows))
    joined = pa.concat_tables([contents.rows, rows]).unify_dictionaries()
    remarks = [remark for remark in contents.remarks if remark not in before]
    added = listed(sorted(set(coded(rows["split"]).values)))
    return replace(
        contents,
        rows=joined,
        names=None,
        remarks=(*remarks, *unlisted(tree, joined)),
        decisions=(
            *contents.decisions,
            Decision("layout", f"{added} from class folders", f"{names} has not"),
        ),
    )


def _in_class_folders(contents: Contents, tree: FileTree) -> pa.Table:
    """Rows of the pictures in a folder of a split that lie in one of a class of the list."""
    classes = {spelling_key(tidy(label)) for label in coded(contents.rows["label"]).values}
    builder = RowBuilder()
    for ref in tree.pictures:
        folder = ref.rpartition("/")[0].rpartition("/")[2]
        if spelling_key(tidy(folder)) in classes and (split := _folder_split(ref)):
            builder.add(ref, folder, split=split)
    return builder.table()


def _with_lists(contents: Contents, tree: FileTree, options: ReadOptions) -> Contents:
    """The contents of class folders with photos of other splits that a list gives classes."""
    import pyarrow as pa

    has = set(coded(contents.rows["split"]).values)
    if not has or _names_all(contents, tree):
        return contents
    lists: list[tuple[str, Layout]] = [
        (ref, PhotoLists()) for ref in lists_with_classes(tree, options)
    ]
    known = [ref for ref, _ in lists]
    lists += [
        (lines.ref, TextLists())
        for lines in text_lists(tree)
        if lines.separator and not lines.counts and lines.ref not in known
    ]
    for ref, layout in lists:
        try:
            found = layout.contents(tree, replace(options, table=ref))
        except UserError:
            continue
        rows = _without(found.rows, contents.rows)
        splits = [
            split or _folder_split(photo)
            for split, photo in zip(rows["split"].to_pylist(), rows["ref"].to_pylist(), strict=True)
        ]
        has = set(coded(contents.rows["split"]).values)
        kept = [bool(split) and split not in has for split in splits]
        if not any(kept):
            continue
        rows = replaced(rows, "split", pa.chunked_array([pa.array(splits, pa.string())]))
        rows = rows.filter(pa.array(kept))
        if not _share_classes(rows, contents.rows):
            continue
        added = sorted(set(coded(rows["split"]).values))
        contents = replace(
            contents,
            rows=pa.concat_tables([contents.rows, rows]).unify_dictionaries(),
            names=None,
            remarks=(
                *(
                    remark
                    for remark in contents.remarks
                    if not any(f"of a {split} split without labels do" in remark for split in added)
                ),
                *(told for told in found.remarks if "that no list names" not in told),
            ),
            decisions=(
                *contents.decisions,
                Decision("list", ref, f"the classes of {listed(added)}, which no folder says"),
            ),
        )
    return contents


def _names_all(contents: Contents, tree: FileTree) -> bool:
    """Whether there are no other pictures."""
    import pyarrow.compute as pc

    return int(pc.count_distinct(contents.rows["ref"]).as_py()) >= len(tree.pictures)


def _without(rows: pa.Table, known: pa.Table) -> pa.Table:
    """The rows of photos that others do not have."""
    import pyarrow.compute as pc

    return rows.filter(pc.invert(pc.is_in(rows["ref"], known["ref"].combine_chunks())))


def _folder_split(ref: str) -> str | None:
    return next((split for part in ref.split("/")[:-1] if (split := split_of(part))), None)


def _share_classes(rows: pa.Table, others: pa.Table) -> bool:
    """Whether most classes of some rows are classes of others."""
    mine, theirs = (
        {spelling_key(tidy(label)) for label in coded(each["label"]).values}
        for each in (rows, others)
    )
    return len(mine & theirs) >= _LEAST_SHARED * max(1, len(mine))
