"""Your own photos: any class-per-folder tree, or a Hugging Face dataset as a folder or by its name
on the Hub.
"""

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
from discl.core.interfaces import Ints, Progress
from discl.files.disk import data_home
from discl.files.sources import Hub, contained, hub_answers, hub_bytes, obtain, size
from discl.parts.datasets.base.class_folders import Tree
from discl.parts.datasets.base.class_names import class_names, photo_of
from discl.parts.datasets.base.layout import Columns, Found, Layout, Wanted
from discl.parts.datasets.base.long_tail import cut, thinned
from discl.parts.datasets.base.metadata import Metadata
from discl.parts.datasets.base.photo_files import Listed, Listing, few
from discl.parts.datasets.base.tables import Tables

_LAYOUTS: tuple[Layout, ...] = (Tables(), Metadata(), Tree())
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")


class Folder(Listed):
    """`root`: a folder with a folder for each class, below train/, val/, test/ and ood/NAME/ or
    right there; or with Parquet files, `save_to_disk` files or a metadata.csv of `datasets`; or
    `owner/name` of a dataset on the Hub.

    `image_column`, `label_column`: where there are columns and they cannot be told. `group_column`:
    a column that says what belongs together, such as the camera; for class folders, `groups` is a
    CSV file with the columns path and group. `ood`: names of splits with photos from elsewhere,
    beside those below ood/. What is missing of val and test is cut from train: `share` of each
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
        self.share, self.largest, self.smallest = share, largest, smallest
        self.ood = tuple(ood)
        self.groups = groups
        self.wanted = Wanted(image_column, label_column, group_column)

    @property
    def grouped(self) -> bool:  # type: ignore[override]
        return bool(self.groups or self.wanted.group)

    @property
    def classes(self) -> tuple[str, ...]:
        return class_names(self._names)

    def prompts(self, label: int) -> tuple[str, ...]:
        return (photo_of(self.classes[label]),)

    def holds(self, root: Path) -> bool:
        return any(layout.recognises(root) for layout in _LAYOUTS)

    def listings(self, root: Path) -> Mapping[str, Listing]:
        named = {
            self._split_name(split): columns for split, columns in self._found_here.splits.items()
        }
        groups = self._group_codes(named)
        listings = {
            split: Listing(
                np.array(columns.refs, np.str_), self._codes(split, columns), groups[split]
            )
            for split, columns in named.items()
        }
        listings = _in_order(_completed(listings, self.share))
        if self.largest:
            refs, labels, _ = train = listings["train"]
            listings["train"] = _part(
                train, thinned(refs, labels, len(self.classes), self.largest, self.smallest)
            )
        return listings

    def remarks(self) -> Sequence[str]:
        lacking = [
            name
            for name in ("val", "test")
            if name not in map(self._split_name, self._found_here.splits)
        ]
        said = (
            [
                f"cut from train: {' and '.join(lacking)}, {self.share:.0%} of each class, by the"
                " hash of the names"
            ]
            if lacking
            else []
        )
        return (*self._found_here.remarks, *said, *self._group_remarks)

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        if not isinstance(self._layout, Metadata):  # what was found by looking is there
            return np.zeros(len(refs), bool), 0
        return super().missing(root, refs)

    def read(self, root: Path, ref: str) -> bytes:
        data = self._layout.read(root, ref)
        return super().read(root, ref) if data is None else data

    def stamp(self, root: Path, ref: str) -> tuple[int, int]:
        return self._layout.stamp(root, ref) or super().stamp(root, ref)

    # -- where it lies

    @property
    def _hub_id(self) -> str:
        return (
            self.root
            if _HUB_ID.fullmatch(self.root) and not Path(self.root).expanduser().exists()
            else ""
        )

    def _places(self) -> list[Path]:
        if self._hub_id:
            return [data_home() / "hub" / self._hub_id.replace("/", "--")]
        return super()._places()

    def _inside(self, place: Path) -> list[Path]:
        return []  # a folder in there is a class

    def _obtained(self, progress: Progress, asked: bool) -> Path:
        if not self._hub_id:
            raise UserError(self._absent())
        if not hub_answers():
            raise UserError(
                f"dataset.root = {self.root!r} is no folder here, and the Hugging Face Hub cannot"
                " be reached; give a folder"
            )
        repo, _, revision = self._hub_id.partition("@")
        source = Hub(repo, hub_bytes(repo, revision), revision)
        if not asked and not source.unasked:
            raise UserError(
                f"{repo} on the Hub takes {size(source.bytes)}; `discl data fetch folder --set"
                f" root={self.root}` downloads it, and goes on where it broke off"
            )
        (place,) = self._places()
        obtain([source], place, progress, asked)
        return place.absolute()

    def _absent(self) -> str:
        where = (
            f"{Path(self.root).expanduser().absolute()} is no folder with photos"
            if self.root
            else "dataset.root says no folder"
        )
        return (
            f"{where}. Give one: --set dataset.root=FOLDER, where FOLDER has\n  - a folder for each"
            " class with its photos, as FOLDER/cat/1.jpg, or below splits:"
            " FOLDER/train/cat/1.jpg,\n    with val/, test/ and ood/NAME/ beside train/ (what is"
            " missing of val and test is cut from train);\n  - or a Hugging Face dataset: Parquet"
            " files, what `save_to_disk` wrote, or a metadata.csv with file_name and label;\nor"
            " the name of a dataset on the Hub, as owner/name."
        )

    # -- what is in it

    @cached_property
    def _layout(self) -> Layout:
        return next(layout for layout in _LAYOUTS if layout.recognises(self.place))

    @cached_property
    def _found_here(self) -> Found:
        found = self._layout.look(self.place, self.wanted)
        if not any(columns.refs for columns in found.splits.values()):
            raise UserError(f"{self.place} has folders but no photo in them; {self._absent()}")
        return found

    @cached_property
    def _names(self) -> tuple[str, ...]:
        """Of the classes, as they are written there."""
        if self._found_here.names is not None:
            return self._found_here.names
        said = {
            label
            for columns in self._found_here.splits.values()
            for label in columns.labels
            if label is not None
        }
        return tuple(map(str, sorted(said, key=lambda label: (isinstance(label, str), label))))

    def _codes(self, split: str, columns: Columns) -> Ints:
        if self._found_here.names is not None:
            return np.array([-1 if label is None else label for label in columns.labels], np.int64)
        codes = {name: code for code, name in enumerate(self._names)}
        return np.array([codes.get(str(label), -1) for label in columns.labels], np.int64)

    def _split_name(self, split: str) -> str:
        return f"ood/{split}" if split in self.ood else split or "train"

    # -- what belongs together

    def _group_codes(self, named: Mapping[str, Columns]) -> dict[str, Ints]:
        said = {
            split: [str(group) for group in self._groups_of(columns)]
            for split, columns in named.items()
        }
        codes = {
            group: code
            for code, group in enumerate(
                sorted({group for groups in said.values() for group in groups})
            )
        }
        return {
            split: np.array([codes[group] for group in groups], np.int64)
            for split, groups in said.items()
        }

    def _groups_of(self, columns: Columns) -> Sequence[Any]:
        if self.groups:
            return [self._group_table.get(ref, "") for ref in columns.refs]
        return columns.groups or [""] * len(columns.refs)

    @cached_property
    def _group_table(self) -> dict[str, str]:
        if not self.groups:
            return {}
        path = self.place / contained(self.groups)
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
        refs = {ref for columns in self._found_here.splits.values() for ref in columns.refs}
        table = self._group_table.keys()
        without = sorted(refs - table) if self.groups else []
        unknown = sorted(table - refs)
        said = (
            [
                f"{len(without)} photo(s) are not in {self.groups} and form a group of their own"
                f" ({few(without)})"
            ]
            if without
            else []
        )
        return said + (
            [f"{len(unknown)} row(s) of {self.groups} name no photo ({few(unknown)})"]
            if unknown
            else []
        )


def _part(listing: Listing, places: Any) -> Listing:
    return Listing(listing.refs[places], listing.labels[places], listing.groups[places])


def _completed(listings: dict[str, Listing], share: float) -> dict[str, Listing]:
    """With val and test, cut from train where they are missing."""
    if "train" not in listings:
        return listings
    test = () if "id_test" in listings else ("test",)
    for name in ("val", *test):
        if name not in listings:
            train = listings["train"]
            aside = cut(train.refs, train.labels, share)
            listings = listings | {name: _part(train, aside), "train": _part(train, ~aside)}
    return listings


def _in_order(listings: Mapping[str, Listing]) -> dict[str, Listing]:
    """train, val, test, and the rest by name."""
    first = [name for name in ("train", "val", "test") if name in listings]
    return {name: listings[name] for name in [*first, *sorted(listings.keys() - set(first))]}
