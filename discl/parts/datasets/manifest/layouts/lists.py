"""A list beside the photos: CSV, TSV, JSON, JSONL or Parquet with their paths and classes."""

from __future__ import annotations

import re
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from discl.core.errors import UserError
from discl.core.plain_files import open_file
from discl.core.text import listed
from discl.parts.datasets.manifest.columns import some
from discl.parts.datasets.manifest.files.hub_card import splits_of_card
from discl.parts.datasets.manifest.lists.choice import (
    given_lists,
    lists_of_one_kind,
    split_of_list,
)
from discl.parts.datasets.manifest.lists.list_columns import (
    AmbiguousColumnsError,
    ListColumns,
    found_columns,
    is_header,
)
from discl.parts.datasets.manifest.lists.lookup import finders
from discl.parts.datasets.manifest.lists.photo_rows import list_contents
from discl.parts.datasets.manifest.lists.raw_rows import PhotoList, image_cells
from discl.parts.datasets.manifest.lists.reading import (
    SAMPLE,
    TextTable,
    delimiter_of,
    open_table,
)
from discl.parts.datasets.manifest.lists.text_lines import with_split_lists
from discl.parts.datasets.manifest.naming.joined_tables import joined_table
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import split_of

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".arrow")
_ALSO = (".txt",)  # where it is asked for by name
_MOST_LISTS = 50
_DEEPEST = 3  # folders
_LARGEST_JSON = 1 << 26  # bytes of a JSON array that is not asked for
_SHEETS = (".xlsx", ".xls", ".ods", ".csv.gz", ".csv.zip", ".tsv.gz", ".feather", ".pkl")
_ADDRESSES = ("http://", "https://", "s3://", "gs://")
_NO_LIST = re.compile(r"submission", re.IGNORECASE)  # of Kaggle: made-up labels
# an array of objects, or an object of labels
_JSON_LIST = re.compile(
    rb'\[\s*\{|\{\s*"(?:classes|labels)"\s*:\s*[\[{]|\{\s*"\w+"\s*:\s*\[\s*(?:\{|\["[^"]+",\s*\d+,\s*")|\{\s*"[^"]+\.[A-Za-z]{3,4}"\s*:\s*["\d\[]'
)
_INNER_LIST = re.compile(rb'^\{.*"\w+"\s*:\s*\[\s*\{', re.DOTALL)  # {"info": {}, "images": [{
_SMALL_JSON = 1 << 22  # bytes
_OF_CLASSES = re.compile(r"label|annot|class|species|truth|train|test|val", re.IGNORECASE)
_PATH = re.compile(r"\.(jpe?g|png|tiff?|bmp|webp|heic)$", re.IGNORECASE)
_LEAST_COVERED = 0.5  # share of photos in class folders that a list must name to be read instead


class _Looked(NamedTuple):
    """A file that may be a list of photos, and why it is none."""

    ref: str
    table: TextTable | None = None
    columns: ListColumns | None = None
    named: int = 0  # photos that the sample names
    why_not: str = ""
    ambiguous: AmbiguousColumnsError | None = None
    joined: Decision | None = None  # with the file of the classes


_LOOKED: weakref.WeakKeyDictionary[FileTree, dict[ReadOptions, list[_Looked]]]
_LOOKED = weakref.WeakKeyDictionary()


class PhotoLists:
    """One list, or one for each split; columns are found by usual names and by their cells."""

    title = "list of photos"

    def recognises(self, tree: FileTree, options: ReadOptions) -> bool:
        if options.table:
            return options.table.lower().endswith((*_ENDINGS, *_ALSO))
        looked = _looked_at(tree, options)
        if _candidates(looked, tree):
            return True
        unclear = any(found.ambiguous for found in looked)
        return unclear and (_names_a_column(options) or not _are_in_class_folders(tree))

    def contents(self, tree: FileTree, options: ReadOptions) -> Contents:
        card: dict[str, str | None] = {}
        if options.table:
            given = given_lists(tree, options.table)
            chosen = [_look(tree, ref, options, asked=True) for ref in given]
        else:
            looked = _looked_at(tree, options)
            card = splits_of_card(tree, options)
            chosen = [found for found in looked if found.ref in card and found.columns]
            chosen = chosen or _chosen(looked, tree)
        lists = [
            PhotoList(
                found.ref,
                found.table,
                found.columns,
                card.get(found.ref) or split_of_list(found.ref),
            )
            for found in chosen
            if found.table is not None and found.columns is not None
        ]
        by_folder = not any(photos.columns.labels for photos in lists)
        contents = list_contents(tree, lists, options, folder_labels=by_folder)
        contents = with_split_lists(contents, tree)
        contents = contents.decided(*(found.joined for found in chosen if found.joined))
        why = "dataset.table" if options.table else "its cells name the photos"
        names = listed(photos.ref for photos in lists)
        return contents.decided(Decision("list", names, why))

    def read(self, root: Path, ref: str) -> None:
        return None


def lists_with_classes(tree: FileTree, options: ReadOptions) -> list[str]:
    """The lists that name photos and their classes, whether they are read or not."""
    return [
        found.ref
        for found in _looked_at(tree, options)
        if found.columns and found.columns.labels and not _NO_LIST.search(found.ref)
    ]


def lists_with_splits(tree: FileTree, options: ReadOptions) -> list[str]:
    """The lists that name photos and their splits, and no classes."""
    return [
        found.ref
        for found in _looked_at(tree, replace(options, label_column="", split_column=""))
        if found.columns and found.columns.split and not found.columns.labels
    ]


def unused_lists(tree: FileTree, options: ReadOptions, used: Sequence[str]) -> list[str]:
    """Sentences about lists beside the photos that are not `used`, each with the reason."""
    if options.table:
        return []
    reasons: dict[str, list[str]] = {}
    for found in _looked_at(tree, options):
        if found.ref not in used and (found.columns or not found.ref.endswith(_ALSO)):
            reasons.setdefault(found.why_not or _beside(found), []).append(found.ref)
    sheets = [
        ref
        for refs in tree.left_out.values()
        for ref in refs
        if ref.lower().endswith(_SHEETS) and ref.count("/") <= _DEEPEST
    ]
    if sheets:
        reasons["save it as CSV, unpacked, to be read"] = sheets
    return [
        f"{some(refs)} {'is' if len(refs) == 1 else 'are'} not used: {reason}"
        for reason, refs in reasons.items()
    ]


def _beside(found: _Looked) -> str:
    """Why nothing is read from a list of photos."""
    if _NO_LIST.search(found.ref):
        return "its classes are made up"
    if found.columns and found.table and not found.columns.labels:
        way_out = "set dataset.label_column"
        if found.columns.group:
            way_out = f"dataset.groups = {found.ref!r} takes the groups from it"
        return f"no column is the class (it has {', '.join(found.table.names)}); {way_out}"
    if found.columns and found.columns.guessed:
        return (
            f"the folders are the classes; dataset.label_column = {found.columns.labels[0]!r} takes"
            " them from it"
        )
    return f"the photos have their classes from elsewhere; dataset.table = {found.ref!r} reads it"


# -- finding the lists


def _looked_at(tree: FileTree, options: ReadOptions) -> list[_Looked]:
    """What each list of the folder is, looked at once."""
    known = _LOOKED.setdefault(tree, {})
    if options not in known:
        refs = [ref for ref in tree.lists if ref.count("/") <= _DEEPEST and _may_list(tree, ref)]
        refs = [ref for ref in refs if ref != options.groups]
        looked = [_look(tree, ref, options) for ref in refs[:_MOST_LISTS]]
        known[options] = _with_classes_elsewhere(looked, tree, options)
    return known[options]


def _with_classes_elsewhere(
    looked: list[_Looked], tree: FileTree, options: ReadOptions
) -> list[_Looked]:
    """What was looked at; a list without classes gets those of a table that names no photo."""
    if any(found.columns and found.columns.labels for found in looked):
        return looked
    others = [found.ref for found in looked if not found.columns and not found.ambiguous]
    return [
        (_joined(found, others, tree, options) or found) if found.columns else found
        for found in looked
    ]


def _joined(
    found: _Looked, others: Sequence[str], tree: FileTree, options: ReadOptions
) -> _Looked | None:
    if found.table is None or found.columns is None:
        return None
    for ref in others:
        try:
            other = open_table(tree.root / path_of(ref), ref, lambda first: True)
            joined = joined_table(found.table, found.columns.image, other)
            if joined is None:
                continue
            table, key = joined
            finds = finders(tree, found.ref, split_of_list(found.ref))
            columns = found_columns(table.sample(), found.ref, options, finds)
        except UserError:
            continue
        if columns is not None and columns.labels:
            why = f"{found.ref} has the photos, and column {key} in common with it"
            return found._replace(table=table, columns=columns, joined=Decision("table", ref, why))
    return None


def _look(tree: FileTree, ref: str, options: ReadOptions, asked: bool = False) -> _Looked:
    """What a file lists; a problem of one that is asked for is raised."""
    path = tree.root / path_of(ref)
    finds = finders(tree, ref, split_of_list(ref))

    def is_first(cells: Sequence[str]) -> bool:
        return is_header(cells) or not any(find(cell) for find in finds for cell in cells)

    if not asked and ref.lower().endswith(".json") and path.stat().st_size > _LARGEST_JSON:
        return _Looked(ref, why_not="it is large; dataset.table reads it")
    try:
        table = open_table(path, ref, is_first)
        sample = table.sample()
        columns = found_columns(sample, ref, options, finds)
    except UserError as error:
        if asked:
            raise
        ambiguous = error if isinstance(error, AmbiguousColumnsError) else None
        return _Looked(ref, why_not=str(error), ambiguous=ambiguous)
    if columns is None:
        why_not = _why_no_list(sample)
        if asked:
            raise UserError(f"{ref} lists no photo: {why_not}")
        return _Looked(ref, why_not=why_not)
    cells = {cell for cell in image_cells(sample, columns) if cell}
    named = sum(any(find(cell) for find in finds) for cell in cells)
    return _Looked(ref, table, columns, named)


def _why_no_list(sample: dict[str, list[str | None]]) -> str:
    """Why no column names the photos."""
    if not any(map(len, sample.values())):
        return "it has a header and no row"
    for name, cells in sample.items():
        if any((cell or "").startswith(_ADDRESSES) for cell in cells):
            return f"column {name} holds addresses; download the photos first"
    nested = [
        name
        for name, cells in sample.items()
        if any((cell or "").startswith(("{", "[{")) for cell in cells)
    ]
    if nested:
        return (
            f"{', '.join(nested)} hold(s) JSON, as exports of Zooniverse do; write a row for each"
            " photo with the columns file_name and label"
        )
    paths = [cell for cells in sample.values() for cell in cells if _PATH.search(cell or "")]
    such = f", such as {paths[0]!r}" if paths else ""
    return f"none of its cells names a picture{such} (columns {', '.join(sample)})"


def _may_list(tree: FileTree, ref: str) -> bool:
    """Whether a file may be a list by its ending and, where that says too little, its beginning."""
    ending = ref.lower()
    if not ending.endswith((".json", ".txt")):
        return ending.endswith(_ENDINGS)
    with open_file(tree.root / path_of(ref), "rb") as opened:
        start = opened.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    if ending.endswith(".json"):
        if _JSON_LIST.match(start):
            return True
        size = (tree.root / path_of(ref)).stat().st_size
        return size <= _SMALL_JSON and _INNER_LIST.search(start) is not None
    return bool(delimiter_of(start.decode("latin-1")))


def _names_a_column(options: ReadOptions) -> bool:
    return bool(options.image_column or options.label_column)


# -- choosing among them


def _candidates(looked: Sequence[_Looked], tree: FileTree) -> list[_Looked]:
    """The lists that give photos their classes; else one that gives splits or groups.

    Where photos lie in folders of classes, a list of a few of them is no list of the dataset, nor
    is one with a column of any name whose cells could be classes.
    """
    in_folders = _are_in_class_folders(tree)
    lists = [found for found in looked if found.columns and not _NO_LIST.search(found.ref)]
    labelled = [
        found
        for found in lists
        if found.columns
        and found.columns.labels
        and not (
            in_folders
            and found.columns.guessed
            and not _OF_CLASSES.search(found.ref.rpartition("/")[2])
        )
    ]
    if not in_folders:
        return labelled
    if not labelled:
        labelled = [found for found in lists if found.columns and _says_more(found.columns)][:1]
    covered = sum(found.named for found in labelled)
    return labelled if covered >= _LEAST_COVERED * min(len(tree.pictures), SAMPLE) else []


def _chosen(looked: Sequence[_Looked], tree: FileTree) -> list[_Looked]:
    """The lists that are read; raises UserError where several could be the one."""
    candidates = _candidates(looked, tree)
    if not candidates:
        raise next(found.ambiguous for found in looked if found.ambiguous)
    refs = lists_of_one_kind([found.ref for found in candidates])
    splits = set(map(split_of_list, refs))
    unlabelled = [
        found.ref
        for found in looked
        if found.columns
        and not found.columns.labels
        and split_of_list(found.ref) not in splits | {None}
    ]
    return [found for found in looked if found.ref in {*refs, *unlabelled}]


def _says_more(columns: ListColumns) -> bool:
    """Whether a list without a class says what no folder says."""
    return bool(columns.split or columns.group or columns.sequence)


def _are_in_class_folders(tree: FileTree) -> bool:
    """Whether the photos lie in several folders that are no splits."""
    found = set[str]()
    for ref in tree.pictures:
        folder = ref.rpartition("/")[0].rpartition("/")[2]
        if folder and folder not in found and not split_of(folder):
            found.add(folder)
            if len(found) > 1:
                return True
    return False
