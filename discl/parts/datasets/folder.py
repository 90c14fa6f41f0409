"""Your own photos: a tree of class folders, or a Hugging Face dataset on disk or on the Hub."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints, Listing, Progress
from discl.files.disk import data_home
from discl.files.sources import Hub, format_bytes, hub_bytes, hub_is_reachable, obtain, safe_path
from discl.parts.datasets.base.class_names import class_names, photo_of
from discl.parts.datasets.base.file_dataset import FileDataset
from discl.parts.datasets.base.long_tail import cut, thinned
from discl.parts.datasets.base.survey import examples
from discl.parts.datasets.layouts.class_folders import ClassFolders
from discl.parts.datasets.layouts.interface import (
    ColumnNames,
    FolderContents,
    FolderLayout,
    SplitRows,
)
from discl.parts.datasets.layouts.metadata import MetadataList
from discl.parts.datasets.layouts.tables import TableFiles

_LAYOUTS: tuple[FolderLayout, ...] = (TableFiles(), MetadataList(), ClassFolders())
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")


class Folder(FileDataset):
    """Photos of `root`, in one of the layouts below or as `owner/name` of a dataset on the Hub.

    `root`: a folder with a folder for each class, directly or below train/, val/, test/ and
    ood/NAME/; or with Parquet files, `save_to_disk` files or a metadata.csv of `datasets`.
    `image_column`, `label_column`: for tables whose columns cannot be recognised. `group_column`:
    a column that says what belongs together, such as the camera; for class folders, `groups` is a
    CSV file with the columns path and group. `ood`: names of splits with photos from elsewhere,
    beside those below ood/. Where val or test is missing it is cut from train: `share` of each
    class, by the hash of the photos' names. `largest` and `smallest`: thin train to a long tail
    between these counts, the class with most photos first; 0 = leave it as it is.
    """

    not_hashed = ("root", "most_unreadable")
    folder_name = "folder"

    def __init__(
        self,
        root: str = "",
        side: int = 32,
        most_unreadable: float = 0.01,
        share: float = 0.15,
        largest: int = 0,
        smallest: int = 0,
        ood: Sequence[str] = (),
        groups: str = "",
        group_column: str = "",
        image_column: str = "",
        label_column: str = "",
    ) -> None:
        super().__init__(root, side, most_unreadable)
        if not 0 < share < 0.5:
            raise UserError(f"dataset.share = {share}: takes more than 0 and less than 0.5")
        if (largest or smallest) and not 1 <= smallest <= largest:
            raise UserError(
                f"dataset.largest = {largest} and smallest = {smallest}: needs 1 <= smallest <="
                " largest, or 0 for both"
            )
        if groups and group_column:
            raise UserError(
                "dataset.groups and dataset.group_column both say what belongs together; set one of"
                " them"
            )
        self.share = share
        self.largest = largest
        self.smallest = smallest
        self.ood = tuple(ood)
        self.groups = groups
        self.columns = ColumnNames(image_column, label_column, group_column)

    @property
    def grouped(self) -> bool:  # type: ignore[override]
        return bool(self.groups or self.columns.group)

    @property
    def classes(self) -> tuple[str, ...]:
        return class_names(self._written_names)

    def prompts(self, label: int) -> tuple[str, ...]:
        return (photo_of(self.classes[label]),)

    def holds(self, root: Path) -> bool:
        return any(layout.recognises(root) for layout in _LAYOUTS)

    def listings(self, root: Path) -> Mapping[str, Listing]:
        splits = {self._split_name(name): rows for name, rows in self._contents.splits.items()}
        groups = self._group_codes(splits)
        listings = {
            split: Listing(np.array(rows.refs, np.str_), self._label_codes(rows), groups[split])
            for split, rows in splits.items()
        }
        listings = _in_order(_completed(listings, self.share))
        if self.largest:
            train = listings["train"]
            kept = thinned(train.refs, train.labels, len(self.classes), self.largest, self.smallest)
            listings["train"] = _part(train, kept)
        return listings

    def remarks(self) -> Sequence[str]:
        splits = [self._split_name(name) for name in self._contents.splits]
        missing = [name for name in ("val", "test") if name not in splits]
        remarks = list(self._contents.remarks)
        if missing:
            remarks.append(
                f"cut from train: {' and '.join(missing)}, {self.share:.0%} of each class, by the"
                " hash of the names"
            )
        return (*remarks, *self._group_remarks)

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        if not isinstance(self._layout, MetadataList):  # the other layouts list existing photos
            return np.zeros(len(refs), bool), 0
        return super().missing(root, refs)

    def read(self, root: Path, ref: str) -> bytes:
        content = self._layout.read(root, ref)
        return super().read(root, ref) if content is None else content

    def stamp(self, root: Path, ref: str) -> tuple[int, int]:
        return self._layout.stamp(root, ref) or super().stamp(root, ref)

    # -- finding the folder

    @property
    def _hub_id(self) -> str:
        """`owner/name` where `root` names a dataset on the Hub, else ""."""
        is_id = _HUB_ID.fullmatch(self.root) and not Path(self.root).expanduser().exists()
        return self.root if is_id else ""

    def _candidates(self) -> list[Path]:
        if self._hub_id:
            return [data_home() / "hub" / self._hub_id.replace("/", "--")]
        return super()._candidates()

    def _inner_folders(self, folder: Path) -> list[Path]:
        return []  # inner folders are classes

    def _fetch(self, progress: Progress, asked: bool) -> Path:
        if not self._hub_id:
            raise UserError(self._not_found())
        if not hub_is_reachable():
            raise UserError(
                f"dataset.root = {self.root!r} is no folder here, and the Hugging Face Hub cannot"
                " be reached; give a folder"
            )
        repo, _, revision = self._hub_id.partition("@")
        source = Hub(repo, hub_bytes(repo, revision), revision)
        if not asked and not source.automatic:
            raise UserError(
                f"{repo} on the Hub takes {format_bytes(source.bytes)}; `discl data fetch folder"
                f" --set dataset.root={self.root}` downloads it, and goes on where it broke off"
            )
        (folder,) = self._candidates()
        obtain([source], folder, progress, asked)
        return folder.absolute()

    def _not_found(self) -> str:
        problem = "dataset.root names no folder"
        if self.root:
            problem = f"{Path(self.root).expanduser().absolute()} is no folder with photos"
        return (
            f"{problem}. Give one: --set dataset.root=FOLDER, where FOLDER has\n  - a folder for"
            " each class with its photos, as FOLDER/cat/1.jpg, or below splits:"
            " FOLDER/train/cat/1.jpg,\n    with val/, test/ and ood/NAME/ beside train/ (what is"
            " missing of val and test is cut from train);\n  - or a Hugging Face dataset: Parquet"
            " files, what `save_to_disk` wrote, or a metadata.csv with file_name and label;\nor"
            " the name of a dataset on the Hub, as owner/name."
        )

    # -- contents

    @cached_property
    def _layout(self) -> FolderLayout:
        return next(layout for layout in _LAYOUTS if layout.recognises(self.folder))

    @cached_property
    def _contents(self) -> FolderContents:
        contents = self._layout.contents(self.folder, self.columns)
        if not any(rows.refs for rows in contents.splits.values()):
            raise UserError(f"{self.folder} has folders but no photo in them; {self._not_found()}")
        return contents

    @cached_property
    def _written_names(self) -> tuple[str, ...]:
        """Class names as folders or columns have them, sorted; numbers before words."""
        if self._contents.names is not None:
            return self._contents.names
        labels = {label for rows in self._contents.splits.values() for label in rows.labels}
        labels.discard(None)
        order = sorted(labels, key=lambda label: (isinstance(label, str), label))
        return tuple(str(label) for label in order)

    def _label_codes(self, rows: SplitRows) -> Ints:
        """Labels as numbers [n]; -1 where there is none."""
        if self._contents.names is not None:
            return np.array([-1 if label is None else label for label in rows.labels], np.int64)
        codes = {name: code for code, name in enumerate(self._written_names)}
        return np.array([codes.get(str(label), -1) for label in rows.labels], np.int64)

    def _split_name(self, split: str) -> str:
        return f"ood/{split}" if split in self.ood else split or "train"

    # -- groups

    def _group_codes(self, splits: Mapping[str, SplitRows]) -> dict[str, Ints]:
        """Groups of each split as numbers [n], in the alphabetical order of their names."""
        names = {
            split: [str(group) for group in self._groups_of(rows)] for split, rows in splits.items()
        }
        distinct = sorted({group for groups in names.values() for group in groups})
        codes = {group: code for code, group in enumerate(distinct)}
        return {
            split: np.array([codes[group] for group in groups], np.int64)
            for split, groups in names.items()
        }

    def _groups_of(self, rows: SplitRows) -> Sequence[Any]:
        if self.groups:
            return [self._group_table.get(ref, "") for ref in rows.refs]
        return rows.groups or [""] * len(rows.refs)

    @cached_property
    def _group_table(self) -> dict[str, str]:
        """Path -> group, from the file `groups`."""
        if not self.groups:
            return {}
        path = self.folder / safe_path(self.groups)
        try:
            with path.open(encoding="utf-8-sig", newline="") as opened:
                rows = list(csv.DictReader(opened))
        except (OSError, ValueError, csv.Error) as error:
            raise UserError(
                f"dataset.groups = {self.groups!r}: {path} cannot be read ({error})"
            ) from error
        if not rows or not {"path", "group"} <= rows[0].keys():
            raise UserError(
                f"dataset.groups: {path} needs the columns path and group, and a row for each photo"
            )
        table = {str(row["path"]): str(row["group"]) for row in rows}
        if len(table) < len(rows):
            raise UserError(
                f"dataset.groups: {path} names {len(rows) - len(table)} photo(s) twice; name each"
                " once"
            )
        return table

    @property
    def _group_remarks(self) -> list[str]:
        """Sentences about photos without a row in the file `groups`, and rows without a photo."""
        refs = {ref for rows in self._contents.splits.values() for ref in rows.refs}
        table = self._group_table.keys()
        ungrouped = sorted(refs - table) if self.groups else []
        unknown = sorted(table - refs)
        remarks = []
        if ungrouped:
            remarks.append(
                f"{len(ungrouped)} photo(s) are not in {self.groups} and form a group of their own"
                f" ({examples(ungrouped)})"
            )
        if unknown:
            remarks.append(
                f"{len(unknown)} row(s) of {self.groups} name no photo ({examples(unknown)})"
            )
        return remarks


def _part(listing: Listing, rows: Any) -> Listing:
    return Listing(listing.refs[rows], listing.labels[rows], listing.groups[rows])


def _completed(listings: dict[str, Listing], share: float) -> dict[str, Listing]:
    """Listings with val and test, cut from train where they are missing."""
    if "train" not in listings:
        return listings
    wanted = ["val"] if "id_test" in listings else ["val", "test"]
    for name in wanted:
        if name not in listings:
            train = listings["train"]
            aside = cut(train.refs, train.labels, share)
            listings = listings | {name: _part(train, aside), "train": _part(train, ~aside)}
    return listings


def _in_order(listings: Mapping[str, Listing]) -> dict[str, Listing]:
    """Train, val and test, then the other splits by name."""
    first = [name for name in ("train", "val", "test") if name in listings]
    return {name: listings[name] for name in [*first, *sorted(listings.keys() - set(first))]}
