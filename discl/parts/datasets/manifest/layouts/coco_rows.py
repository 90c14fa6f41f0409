"""From the columns of a COCO JSON to the rows of a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.text import counted
from discl.parts.datasets.manifest.columns import Coded, coded, some
from discl.parts.datasets.manifest.layouts.coco_boxes import share_boxes
from discl.parts.datasets.manifest.layouts.coco_columns import Boxes, CocoFile, read_coco
from discl.parts.datasets.manifest.layouts.coco_images import ImageColumns, Notes
from discl.parts.datasets.manifest.rows import Contents, ReadOptions, row_schema
from discl.parts.datasets.manifest.tree import FileTree, path_of

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
_NO_ANIMALS = frozenset(
    ["empty", "blank", "human", "person", "people", "homo sapiens", "vehicle", "car", "unknown"]
)


def coco_contents(tree: FileTree, ref: str, split: str | None, options: ReadOptions) -> Contents:
    """What a COCO JSON lists; a row for each annotation, and for each image without any.

    `split`: what its name says. Raises UserError, with file and record, for contradictions.
    """
    import pyarrow as pa

    reading = _Reading(tree, ref, read_coco(tree.root / path_of(ref), ref, options), options)
    contents = reading.contents(split)
    pa.default_memory_pool().release_unused()  # else it is kept for later columns
    return contents


class _Reading:
    """Turns one file's columns into rows, and notes what is odd."""

    def __init__(self, tree: FileTree, ref: str, coco: CocoFile, options: ReadOptions) -> None:
        self.tree = tree
        self.ref = ref
        self.images: pa.Table = coco.images
        self.annotations: pa.Table = coco.annotations
        self.boxes: Boxes | None = coco.boxes
        self.categories = coco.categories
        self.fields = coco.fields
        self.numbers = np.arange(1, len(coco.images) + 1)  # in the file
        self.notes = Notes(ref, options)

    def contents(self, split: str | None) -> Contents:
        import pyarrow as pa

        self._check_ids()
        image = self._images_of_annotations()
        names = tuple(dict.fromkeys(category.name for category in self.categories))
        positions, classes, boxes = self._labelled(image, self._classes(names), self._boxes(image))
        self.annotations = self.boxes = None  # of millions; not needed any more
        labels = Coded(pa.array(names, pa.string()), classes).column()
        del image, classes
        self.images = self.images.drop_columns(["id"])
        images = ImageColumns(self.tree, self.images, self.fields, self.notes)
        photos = images.photos(positions, labels)
        if photos.null_count:
            kept = np.asarray(photos.is_valid())[positions]
            positions, boxes, labels = positions[kept], boxes[kept], labels.filter(kept)
        columns = {
            "ref": photos,
            "split": images.splits(photos, split),
            "group": images.groups(),
            "sequence": images.sequences(),
            "caption": images.column("caption"),
            "row": pa.array(self.numbers),
        }
        del photos, images
        self.images = self.images.select([])
        rows = {name: _taken(columns.pop(name), positions) for name in list(columns)}
        rows |= {"label": labels, "box": _box_column(boxes), "source": self._source(len(positions))}
        schema = row_schema()
        table = pa.table([rows[name] for name in schema.names], schema=schema)
        self._note_classes(table)
        return Contents(table, names, tuple(self.notes.decisions), tuple(self.notes.remarks))

    def _source(self, number: int) -> pa.Array:
        import pyarrow as pa

        return pa.DictionaryArray.from_arrays(np.zeros(number, np.int32), pa.array([self.ref]))

    # -- annotations

    def _images_of_annotations(self) -> Ints:
        """The image [n] that each annotation is of; -1 where it is not listed."""
        import pyarrow.compute as pc

        annotations = self.annotations
        image = _codes(pc.index_in(annotations["image"], self.images["id"], skip_nulls=True))
        if (strays := np.flatnonzero(image < 0)).size:
            named = annotations["image"][int(strays[0])].as_py()
            self.notes.remark(
                f"{counted(len(strays), 'annotation')} of images that it does not list are left out"
                f" (first: number {strays[0] + 1:,}, of image {named})"
            )
        if of_sequence := int(pc.sum(annotations["of_sequence"]).as_py() or 0):
            self.notes.remark(
                f"{of_sequence:,} of {len(annotations):,} annotations are of whole sequences: a"
                " photo of one need not show the animal"
            )
        return image

    def _boxes(self, image: Ints) -> NDArray[np.float32] | None:
        """The box [n, 4] of each annotation, NaN for none; None where none has one."""
        if self.boxes is None or not len(self.boxes.annotation):
            return None
        boxes, remarks = share_boxes(self.boxes, image, self.images)
        for remark in remarks:
            self.notes.remark(remark)
        return boxes

    def _labelled(
        self, image: Ints, classes: Ints, boxes: NDArray[np.float32] | None
    ) -> tuple[Ints, Ints, NDArray[np.float32]]:
        """For each row, in the order of images: image, class (-1 = none) and box [4]."""
        listed = np.flatnonzero(image >= 0)
        annotated = np.zeros(len(self.images), bool)
        annotated[image[listed]] = True
        without = np.flatnonzero(~annotated)
        if len(without):
            self.notes.remark(
                f"{counted(len(without), 'image')} of {len(self.images):,} without an annotation,"
                " taken as unlabelled"
            )
        positions = np.concatenate([image[listed], without])
        order = np.argsort(positions, kind="stable")
        codes = np.concatenate([classes[listed], np.full(len(without), -1)])[order]
        if boxes is None:
            return positions[order], codes, np.full((len(order), 0), np.nan, np.float32)
        none = np.full((len(without), 4), np.nan, np.float32)
        return positions[order], codes, np.concatenate([boxes[listed], none])[order]

    def _check_ids(self) -> None:
        """Note images without an id, and raise UserError for two with one id."""
        import pyarrow.compute as pc

        ids = self.images["id"]
        if nameless := ids.null_count:
            self.notes.remark(f"{counted(nameless, 'image')} without an id")
        # the first image of each id; to count the ids takes three times the memory
        first = _codes(pc.index_in(ids, ids, skip_nulls=True))
        again = (first >= 0) & (first != np.arange(len(first)))
        if not again.any():
            return
        for row in np.flatnonzero(again).tolist():
            before = int(first[row])
            one, other = (self.images["file"][at].as_py() for at in (before, row))
            if one != other:
                raise UserError(
                    f"images {before + 1:,} and {row + 1:,} of {self.ref} have one id,"
                    f" {ids[row].as_py()!r}, but are {one} and {other}; give each image its own"
                )
        kept = np.flatnonzero(~again)
        self.notes.remark(f"{counted(int(again.sum()), 'image')} listed again, counted once")
        self.images = self.images.take(kept)
        self.numbers = self.numbers[kept]

    def _classes(self, names: tuple[str, ...]) -> Ints:
        """The number [n] of each annotation's class among the names; -1 for none."""
        import pyarrow as pa
        import pyarrow.compute as pc

        categories = self.categories
        column = self.annotations["category"]
        if not categories and len(column) > column.null_count:
            raise UserError(
                f"{self.ref} has {len(column):,} annotations, but no categories that name their"
                " classes; add them"
            )
        of_category = _codes(
            pc.index_in(column, pa.array([one.number for one in categories], pa.string()))
        )
        given = np.asarray(column.is_valid())
        if unknown := np.flatnonzero((of_category < 0) & given).tolist():
            raise UserError(
                f"{counted(len(unknown), 'annotation')} of {self.ref} with a category that it does"
                f" not list: number {unknown[0] + 1:,} has category_id"
                f" {column[unknown[0]].as_py()}, and {len(categories)} categories are listed"
                f" ({some(one.number for one in categories)}); add it, or correct the annotation"
            )
        if nameless := int((~given).sum()):
            self.notes.remark(
                f"{counted(nameless, 'annotation')} without a category, taken as unlabelled"
            )
        numbers: dict[str, list[str]] = {}
        for one in categories:
            numbers.setdefault(one.name, []).append(one.number)
        for name, several in numbers.items():
            if len(several) > 1:
                self.notes.remark(
                    f"categories {', '.join(several)} are all called {name}: one class"
                )
        by_category = np.array([*(names.index(one.name) for one in categories), -1])
        return by_category[of_category]

    def _note_classes(self, rows: pa.Table) -> None:
        labels = coded(rows["label"])
        others = [
            f"{name} ({count:,})"
            for name, count in zip(labels.values, labels.counts, strict=True)
            if name.casefold() in _NO_ANIMALS
        ]
        self.notes.decide(
            "label", f"names of its categories, {len(labels)} with photos", "label_column"
        )
        if others:
            self.notes.remark(
                f"classes that are no animals are kept: {some(others, most=8)};"
                " dataset.drop_classes leaves them out"
            )


def _taken(column: pa.ChunkedArray | pa.Array, positions: Ints) -> pa.ChunkedArray:
    """A column's values at positions, which are often all in order."""
    import pyarrow as pa

    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    if pa.types.is_dictionary(column.type):
        encoded = coded(column)
        return Coded(encoded.distinct, encoded.codes[positions]).column()
    if len(positions) == len(column) and (positions == np.arange(len(column))).all():
        return column
    return pa.chunked_array([column.combine_chunks().take(positions)])


def _box_column(boxes: NDArray[np.float32]) -> pa.Array:
    """Boxes [n, 4] as a column; null where they are NaN, or are [n, 0]."""
    import pyarrow as pa

    kind = row_schema().field("box").type
    if not boxes.shape[1]:
        return pa.nulls(len(boxes), kind)
    none = pa.array(np.isnan(boxes[:, 0]))
    return pa.FixedSizeListArray.from_arrays(boxes.ravel(), 4, mask=none).cast(kind)


def _codes(found: pa.ChunkedArray | pa.Array) -> Ints:
    """Positions [n] as numbers; -1 for none."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)
