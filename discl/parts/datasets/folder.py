"""Your own photos: folders, lists, camera-trap databases, or a Hugging Face dataset."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.hashing import digest
from discl.core.interfaces import Listing, Photos, Progress
from discl.core.plain_files import plain_bytes
from discl.core.progress import showing, shown_progress
from discl.core.text import typed
from discl.files.disk import data_home
from discl.files.photos import Reading, grey_levels, squared
from discl.files.sources import Hub, format_bytes, hub_bytes, hub_is_reachable, obtain
from discl.parts.datasets.base.class_names import photo_of
from discl.parts.datasets.base.file_dataset import FileDataset
from discl.parts.datasets.base.long_tail import thinned
from discl.parts.datasets.base.photo_contents import Place
from discl.parts.datasets.manifest.boxes import crop_pixels, crop_size, split_box
from discl.parts.datasets.manifest.build import (
    ManifestSettings,
    built,
    layout_of,
    layout_titled,
    pictures_digest,
)
from discl.parts.datasets.manifest.held_out import RowPictures
from discl.parts.datasets.manifest.layouts.exported import export, table_path
from discl.parts.datasets.manifest.layouts.interface import Layout
from discl.parts.datasets.manifest.layouts.name_patterns import compiled
from discl.parts.datasets.manifest.photo_boxes import check_confidence
from discl.parts.datasets.manifest.pictures import cells_of, pictures_of, places_of
from discl.parts.datasets.manifest.rows import Decision, ReadOptions
from discl.parts.datasets.manifest.splits import SPLIT_BY, SplitRule
from discl.parts.datasets.manifest.store import Manifest, stored
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.words import Named, is_latin, named

# endings of photos with 8 bits a channel
_SHALLOW = (".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".heic", ".heif")
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(@[\w./-]+)?")


class Folder(FileDataset):
    """Photos of `root`, in one of the layouts below or as `owner/name` of a dataset on the Hub.

    `root`: a folder with a folder for each class, directly or below train/, val/, test/ and
    ood/NAME/; or with a list of the photos, Parquet or Arrow files. `table`: the list, where there
    are several. `image_column`, `label_column`, `split_column`, `sequence_column`,
    `caption_column`: for lists whose columns cannot be recognised. `group_column`: a column that
    says what belongs together, such as the camera; for class folders, `group_level` is the folder
    level that is the group, 1 = the topmost, and `groups` is a CSV file with the columns path and
    group. `name_pattern`: where names of photos say the class, such as {label}_{number} for
    Abyssinian_1.jpg; `*` stands for anything. `configuration`: of a Hugging Face dataset with
    several. `drop_classes`: names of classes that are left out, such as empty; `not_missing`:
    labels and groups that are names although they read as if nothing was there, such as None.
    `names`: a JSON file with the English names of classes, {"17": "plains zebra"}, for the prompts.
    `multi_label`: drop, first or crop; what happens to photos of several classes. `crop`: a file
    with a detector's boxes; those above
    `crop_confidence` are cut out, with `crop_padding` around them as a share of their sides.
    `boxes`: the same file for generators that keep or repaint what is in the boxes, from
    `boxes_confidence` on; photos stay whole.
    `truncated`: read or drop; what happens to JPEGs that end too early but have half their rows.
    `grey`: what is white in grey photos of more than 8 bits: that of the format (depth), the set's
    own brightest (range), or the latter for sensors of 14 bits and less (auto). `ood`: names of
    splits with photos from elsewhere, beside those below ood/. `ood_groups`: groups that are held
    out as such, by name or as a share. Where val or test is missing it is cut from train: `share`
    of each class, by `split_by` (auto, sequence, group or photo). `allow_equal`: run although equal
    photos are in train and in test. `largest` and `smallest`: thin train to a long tail between
    these counts, the class with most photos first; 0 = leave it as it is.
    """

    # the identity holds what is listed: splits, classes, groups, boxes and contents of the photos
    not_hashed = (
        "root",
        "most_unreadable",
        "share",
        "largest",
        "smallest",
        "ood",
        "ood_groups",
        "split_by",
        "table",
        "image_column",
        "label_column",
        "split_column",
        "group_column",
        "sequence_column",
        "caption_column",
        "configuration",
        "group_level",
        "groups",
        "name_pattern",
        "drop_classes",
        "not_missing",
        "names",
        "multi_label",
        "crop",
        "crop_confidence",
        "crop_padding",
        "allow_equal",
        "boxes",
        "boxes_confidence",
    )
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
        ood_groups: Sequence[str] | float = (),
        split_by: str = "auto",
        table: str = "",
        image_column: str = "",
        label_column: str = "",
        split_column: str = "",
        group_column: str = "",
        sequence_column: str = "",
        caption_column: str = "",
        configuration: str = "",
        group_level: int = 0,
        groups: str = "",
        name_pattern: str = "",
        drop_classes: Sequence[str] = (),
        not_missing: Sequence[str] = (),
        names: str = "",
        multi_label: str = "drop",
        crop: str = "",
        crop_confidence: float = 0.2,
        crop_padding: float = 0.0,
        truncated: str = "read",
        grey: str = "auto",
        allow_equal: bool = False,
        boxes: str = "",
        boxes_confidence: float = 0.2,
    ) -> None:
        super().__init__(root, side, most_unreadable)
        check_confidence(boxes_confidence)
        if boxes and crop:
            raise UserError(
                f"dataset.crop = {crop!r} leaves only what is in the boxes, so dataset.boxes ="
                f" {boxes!r} would have nothing around them; set one of the two"
            )
        self.boxes = boxes
        self.boxes_confidence = boxes_confidence
        if not 0 < share < 0.5:
            raise UserError(f"dataset.share = {share}: takes more than 0 and less than 0.5")
        if (largest or smallest) and not 1 <= smallest <= largest:
            raise UserError(
                f"dataset.largest = {largest} and smallest = {smallest}: needs 1 <= smallest <="
                " largest, or 0 for both"
            )
        if sum(map(bool, (groups, group_column, group_level))) > 1:
            raise UserError(
                "dataset.groups, dataset.group_column and dataset.group_level all say what belongs"
                " together; set one of them"
            )
        if name_pattern:
            compiled(name_pattern)
            if table:
                raise UserError(
                    "dataset.table and dataset.name_pattern both say the classes; set one of them"
                )
        if group_level < 0:
            raise UserError(
                f"dataset.group_level = {group_level}: takes 1 for the topmost folders, 2 for those"
                " in them, or 0 for none"
            )
        for key, value, choices in (
            ("split_by", split_by, SPLIT_BY),
            ("multi_label", multi_label, ("drop", "first", "crop")),
            ("truncated", truncated, ("read", "drop")),
            ("grey", grey, ("auto", "range", "depth")),
        ):
            if value not in choices:
                raise UserError(f"dataset.{key} = {value!r}: takes {', '.join(choices)}")
        if not 0 <= crop_confidence <= 1:
            raise UserError(f"dataset.crop_confidence = {crop_confidence}: takes 0 to 1")
        if not 0 <= crop_padding <= 1:
            raise UserError(
                f"dataset.crop_padding = {crop_padding}: takes 0 to 1, as a share of the box's side"
            )
        self.share = share
        self.largest = largest
        self.smallest = smallest
        self.allow_equal = allow_equal
        self.truncated = truncated
        self.grey = grey
        self.settings = ManifestSettings(
            ReadOptions(
                table,
                image_column,
                label_column,
                split_column,
                group_column,
                sequence_column,
                caption_column,
                configuration,
                group_level,
                groups,
                _names("ood", ood),
                name_pattern,
            ),
            SplitRule(share, split_by, _names_or_share("ood_groups", ood_groups)),
            _names("drop_classes", drop_classes),
            multi_label,
            crop,
            crop_confidence,
            crop_padding,
            allow_equal,
            _names("not_missing", not_missing),
        )
        self.names = names

    @property
    def grouped(self) -> bool:  # type: ignore[override]
        return bool(self.manifest.groups)

    @property
    def classes(self) -> tuple[str, ...]:
        return self._named.names

    @property
    def species(self) -> dict[str, str]:
        """English name of a class -> the Latin name that is written for it."""
        pairs = zip(self.classes, self.manifest.names, strict=True)
        return {
            name: written
            for name, written in pairs
            if name.lower() != written.lower() and is_latin(written)
        }

    @cached_property
    def _named(self) -> Named:
        file = str(table_path(self.folder, self.names)) if self.names else ""
        return named(self.manifest.names, file)

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"classes": digest(self.classes)[:16]}

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """What was understood about the folder, and why."""
        return self.manifest.decisions

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups, in the order of their numbers."""
        return self.manifest.groups

    def prompts(self, label: int) -> tuple[str, ...]:
        return (photo_of(self.classes[label]),)

    def holds(self, root: Path) -> bool:
        if self._hub_id:  # a download may be incomplete
            return layout_of(FileTree(root), self.settings.options) is not None
        return any(not path.name.startswith(".") for path in root.iterdir())

    def listings(self, root: Path) -> Mapping[str, Listing]:
        listings = self.manifest.listings
        if self.largest and "train" in listings:
            refs, labels, groups = listings["train"]
            kept = thinned(refs, labels, len(self.classes), self.largest, self.smallest)
            listings["train"] = Listing(refs[kept], labels[kept], groups[kept])
        return listings

    def remarks(self) -> Sequence[str]:
        return (*self.manifest.remarks, *self._named.remarks)

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        absent = set(self.manifest.missing)
        return np.array([split_box(ref)[0] in absent for ref in refs.tolist()], bool), 0

    @cached_property
    def reading(self) -> Reading:
        refs = [
            ref
            for ref in self.manifest.rows["ref"].unique().to_pylist()
            if not ref.lower().endswith(_SHALLOW)
        ]
        levels = grey_levels(self.grey, refs, partial(self.read, self.folder)) if refs else None
        return Reading(self.truncated == "read", levels)

    def read(self, root: Path, ref: str) -> bytes:
        photo = split_box(ref)[0]
        content = self._layout.read(root, photo)
        return plain_bytes(root / path_of(photo)) if content is None else content

    def places(self, root: Path, refs: Sequence[str]) -> Sequence[Place]:
        photos, boxes = zip(*map(split_box, refs), strict=True) if refs else ((), ())
        return [
            place if box is None else place._replace(part=f"{box}")
            for place, box in zip(places_of(self._layout, photos), boxes, strict=True)
        ]

    def decode(self, data: bytes, ref: str, least_side: int = 0) -> Photos:
        photo, box = split_box(ref)
        if box is None:
            return super().decode(data, ref, least_side)
        whole = math.ceil(least_side / max(min(box[2:]), 1e-3))  # so that the box is large enough
        return crop_pixels(super().decode(data, photo, whole), box)

    def square(self, data: bytes, ref: str, side: int) -> Photos:
        if split_box(ref)[1] is None:
            return super().square(data, ref, side)
        return squared(self.decode(data, ref, 2 * side), side)

    def size(self, data: bytes, ref: str) -> tuple[int, int]:
        photo, box = split_box(ref)
        height, width = super().size(data, photo)
        return (height, width) if box is None else crop_size(height, width, box)

    def cells(self, root: Path, path: str, column: str) -> Iterable[bytes | None]:
        return cells_of(self._layout, root, path, column)

    @cached_property
    def manifest(self) -> Manifest:
        """Every photo with its class, split and group, and how it was found; opens no photo.

        Raises UserError where the folder cannot be understood.
        """
        lists = (self.settings.options.table, self.settings.options.groups, self.settings.crop)
        others = [table_path(self.folder, name) for name in lists if name]
        return stored(
            self.folder,
            [asdict(self.settings), *map(str, others)],
            others,
            lambda tree: built(tree, self.settings, self._pictures, _WAY_OUT),
            lambda manifest: pictures_digest(manifest, self._pictures),
        )

    def export(self, path: Path, progress: Progress) -> int:
        """Write the manifest as CSV, to be corrected and read back as `table`; returns the rows.

        Raises UserError for a file in the photos' folder, which would be taken for their list.
        """
        if path.absolute().resolve().is_relative_to(self.folder.resolve()):
            raise UserError(
                f"{path} lies in {self.folder}, where it would be taken for a list of the photos;"
                " name a file elsewhere"
            )
        rows = self.manifest.rows
        refs = rows["ref"].unique()
        with showing(progress):
            digests = self._pictures(self._layout, refs.to_pylist()).digests
        export(self.manifest, digests, path)
        return int(rows.num_rows)

    def _pictures(self, layout: Layout, refs: Sequence[str]) -> RowPictures:
        what = f"reading the photos of {self.name}"
        return pictures_of(self.folder, layout, refs, what, shown_progress())

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
            command = typed(
                "discl", "data", "fetch", "folder", "--set", f"dataset.root={self.root}"
            )
            raise UserError(
                f"{repo} on the Hub takes {format_bytes(source.bytes)}; `{command}` downloads it,"
                " and goes on where it broke off"
            )
        (folder,) = self._candidates()
        obtain([source], folder, progress, asked)
        return folder.absolute()

    def _not_found(self) -> str:
        problem = "dataset.root names no folder"
        if self.root:
            problem = f"{Path(self.root).expanduser().absolute()} is no folder with photos"
        return f"{problem}. {_WAY_OUT}"

    @cached_property
    def _layout(self) -> Layout:
        return layout_titled(self.manifest.layout)


_WAY_OUT = (
    "Give one: --set dataset.root=FOLDER, where FOLDER has\n  - a folder for"
    " each class with its photos, as FOLDER/cat/1.jpg, or below splits:"
    " FOLDER/train/cat/1.jpg,\n    with val/, test/ and ood/NAME/ beside train/ (what is"
    " missing of val and test is cut from train);\n  - or a list of the photos: CSV, TSV, JSON"
    " or text with the columns file_name and label,\n    COCO Camera Traps, Camtrap DP, or"
    " Parquet and Arrow files of Hugging Face `datasets`;\nor the name of a dataset on the Hub,"
    " as owner/name."
)


def _names(key: str, given: Any) -> tuple[str, ...]:
    """A list of names; raises UserError for anything else."""
    if isinstance(given, list | tuple) and all(isinstance(name, str) and name for name in given):
        return tuple(given)
    raise UserError(f'dataset.{key} = {given!r}: takes a list of names, such as ["night"]')


def _names_or_share(key: str, given: Any) -> tuple[str, ...] | float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        if 0 < given < 0.9:
            return float(given)
        raise UserError(
            f"dataset.{key} = {given}: takes a share of the groups of more than 0 and less than"
            " 0.9, or a list of their names"
        )
    return _names(key, given)
