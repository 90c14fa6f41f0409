"""Files, places, sequences and splits of the images of a COCO JSON."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.text import counted
from discl.parts.datasets.manifest.columns import coded, some
from discl.parts.datasets.manifest.layouts.coco_columns import as_text
from discl.parts.datasets.manifest.lists.find_photos import Found, counts_of, find_photos
from discl.parts.datasets.manifest.lists.json_records import read_value
from discl.parts.datasets.manifest.rows import Decision, ReadOptions
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import split_of

if TYPE_CHECKING:
    import pyarrow as pa


class Notes:
    """What was noticed and decided while a file was read."""

    def __init__(self, ref: str, options: ReadOptions) -> None:
        self.ref = ref
        self.options = options
        self.remarks: list[str] = []
        self.decisions: list[Decision] = []

    def remark(self, text: str) -> None:
        self.remarks.append(f"{self.ref}: {text}")

    def decide(self, what: str, choice: str, column: str = "") -> None:
        """`column`: the setting with which the user may have chosen."""
        asked = column and getattr(self.options, column)
        why = f"dataset.{column}" if asked else f"a usual name in {self.ref}"
        self.decisions.append(Decision(what, choice, why))


class ImageColumns:
    """Columns [n] of a manifest for the images of a file."""

    def __init__(
        self, tree: FileTree, images: pa.Table, fields: Mapping[str, str], notes: Notes
    ) -> None:
        self.tree = tree
        self.images = images
        self.fields = fields
        self.notes = notes

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of images as text; nulls where they have none."""
        import pyarrow as pa

        if name not in self.images.column_names:
            return pa.chunked_array([pa.nulls(len(self.images), pa.string())])
        return self.images[name]

    def photos(self, positions: NDArray[np.int64], labels: pa.ChunkedArray) -> pa.Array:
        """The reference [n] of each image; null where there is no file."""
        import pyarrow.compute as pc

        folder = posixpath.dirname(self.notes.ref)
        written = self.images["file"]
        found = find_photos(
            written,
            self.tree.pictures,
            (folder, ""),
            lambda name: self.tree.resolve(name, folder),
        )
        field = self.fields["file"]
        self.notes.decide("photos", f"{field} of its images", "image_column")
        own = Found(found.refs, (("", f"{folder}/" if folder else ""),))
        if (how := found.sentence()) != own.sentence():
            self.notes.remark(f"{field} is read as {how}")
        absent = ~np.asarray(found.refs.is_valid())
        if absent.any():
            first = written[int(absent.argmax())].as_py()
            web = pc.sum(pc.starts_with(written, "http")).as_py() or 0
            self.notes.remark(
                f"{counted(int(absent.sum()), 'image')} of {len(absent):,} without a file in the"
                f" folder left out (first: {first}), rows by class:"
                f" {counts_of(labels.filter(absent[positions]))}"
                + (f"; {web:,} are addresses on the web" if web else "")
            )
        return found.refs

    def groups(self) -> pa.ChunkedArray:
        if field := self.fields.get("group"):
            number = len(self.column("group").unique())
            self.notes.decide("group", f"{field} of its images, {number:,} values", "group_column")
        return self.column("group")

    def sequences(self) -> pa.ChunkedArray:
        """The sequence of each image; of its place, where places have the same numbers."""
        import pyarrow as pa
        import pyarrow.compute as pc

        field = self.fields.get("sequence")
        column = self.column("sequence")
        if not field:
            return column
        sequence, group = coded(column), coded(self.column("group"))
        if len(sequence) == 1 and len(column) > 1:
            self.notes.remark(f"all images have {field} {sequence.values[0]}, which is no sequence")
            return pa.chunked_array([pa.nulls(len(column), pa.string())])
        self.notes.decide(
            "sequence", f"{field} of its images, {len(sequence):,} values", "sequence_column"
        )
        given = sequence.codes >= 0
        pairs = np.unique(sequence.codes[given] * (len(group) + 1) + group.codes[given] + 1)
        if len(pairs) == len(sequence):
            return column
        self.notes.remark(f"{field} begins anew at other places: it counts together with the place")
        return pc.binary_join_element_wise(pc.coalesce(group.column(), ""), column, "/")

    def splits(self, photos: pa.Array, split: str | None) -> pa.ChunkedArray:
        """The split of each image: of its field, its file, or its folder."""
        import pyarrow as pa

        if field := self.fields.get("split"):
            column = coded(self.images["split"])
            self.notes.decide("split", f"{field} of its images", "split_column")
            return column.column([split_of(value) or value for value in column.values])
        if split is None and (by_folder := _splits_of_folders(photos)) is not None:
            self.notes.decide("split", "folders of the photos")
            return by_folder
        if split is None and (by_group := self._splits_of_groups()) is not None:
            return by_group
        return pa.chunked_array([pa.array([split] * len(photos), pa.string())])

    def _splits_of_groups(self) -> pa.ChunkedArray | None:
        """The split of each image by a file of places for each split, as LILA publishes them."""
        group = coded(self.column("group"))
        for ref in self.tree.lists:
            if not (ref.lower().endswith(".json") and "split" in posixpath.basename(ref).lower()):
                continue
            listed = read_value(self.tree.root / path_of(ref), ref, "splits")
            splits = {
                as_text(place): split_of(str(name))
                for name, places in (listed.items() if isinstance(listed, Mapping) else ())
                for place in (places if isinstance(places, list) else ())
            }
            found = [splits.get(place) for place in group.values]
            if any(found):
                self.notes.decisions.append(
                    Decision("split", ref, "its places are those of photos")
                )
                if others := [p for p, split in zip(group.values, found, strict=True) if not split]:
                    self.notes.remark(f"no split of {some(others)} in {ref}")
                return group.column(found)
        return None


def _splits_of_folders(photos: pa.Array) -> pa.ChunkedArray | None:
    """The split of each photo by its folders; None unless all have one, and some are train."""
    import pyarrow as pa
    import pyarrow.compute as pc

    folder = coded(pa.chunked_array([pc.replace_substring_regex(photos, r"/?[^/]*$", "")]))
    splits = list[str]()
    for path in folder.values:  # of very many folders, the first mostly has none
        split = next(_splits_in(path), None)
        if split is None:
            return None
        splits.append(split)
    return folder.column(splits) if "train" in splits and len(set(splits)) > 1 else None


def _splits_in(folder: str) -> Iterator[str]:
    return (split for split in map(split_of, folder.split("/")) if split)
