"""From the columns of a COCO JSON to the rows of a manifest."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.parts.datasets.manifest.columns import Coded, coded, counted, some
from discl.parts.datasets.manifest.find_photos import counts_of, find_photos
from discl.parts.datasets.manifest.layouts.coco_boxes import share_boxes
from discl.parts.datasets.manifest.layouts.coco_columns import CocoFile, read_coco
from discl.parts.datasets.manifest.rows import Contents, Decision, ReadOptions, row_schema
from discl.parts.datasets.manifest.tree import FileTree, path_of
from discl.parts.datasets.manifest.usual_names import split_of

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
    coco = read_coco(tree.root / path_of(ref), ref, options)
    return _Reading(tree, ref, coco).contents(split)


class _Reading:
    """Turns one file's columns into rows, and notes what is odd."""

    def __init__(self, tree: FileTree, ref: str, coco: CocoFile) -> None:
        self.tree = tree
        self.ref = ref
        self.coco = coco
        self.images = coco.images
        self.remarks: list[str] = []
        self.decisions: list[Decision] = []

    def contents(self, split: str | None) -> Contents:
        import pyarrow as pa

        positions, classes, boxes = self._labelled()
        names = tuple(dict.fromkeys(category.name for category in self.coco.categories))
        labels = Coded(pa.array(names, pa.string()), classes).column()
        photos = self._photos(positions, labels)
        kept = np.asarray(photos.is_valid())[positions]
        positions, boxes, labels = positions[kept], boxes.filter(kept), labels.filter(kept)
        rows = pa.table(
            [
                photos.take(positions),
                labels,
                self._splits(photos, split).take(positions),
                self._groups().take(positions),
                self._sequences().take(positions),
                boxes.cast(row_schema().field("box").type),
                self.images["caption"].take(positions),
                pa.DictionaryArray.from_arrays(
                    np.zeros(len(positions), np.int32), pa.array([self.ref])
                ),
                self.images["number"].take(positions),
            ],
            schema=row_schema(),
        )
        self._note_classes(rows)
        return Contents(rows, names, tuple(self.decisions), tuple(self.remarks))

    def _note(self, text: str) -> None:
        self.remarks.append(f"{self.ref}: {text}")

    # -- annotations

    def _labelled(self) -> tuple[Ints, Ints, pa.Array]:
        """For each row, in the order of images: image, category's name (-1 = none) and box."""
        import pyarrow as pa
        import pyarrow.compute as pc

        self._check_ids()
        annotations = self.coco.annotations
        image = _codes(pc.index_in(annotations["image"], self.images["id"], skip_nulls=True))
        classes = self._classes()
        self._note_strays(image)
        listed = np.flatnonzero(image >= 0)
        annotated = np.zeros(len(self.images), bool)
        annotated[image[listed]] = True
        without = np.flatnonzero(~annotated)
        if len(without):
            self._note(
                f"{counted(len(without), 'image')} of {len(self.images):,} without an annotation,"
                " taken as unlabelled"
            )
        if of_sequence := int(pc.sum(annotations["of_sequence"]).as_py() or 0):
            self._note(
                f"{of_sequence:,} of {len(annotations):,} annotations are of whole sequences: a"
                " photo of one need not show the animal"
            )
        boxes, remarks = share_boxes(
            annotations.select(["box", "relative"]).take(listed),
            listed,
            self.images.select(["width", "height"]).take(image[listed]),
        )
        for remark in remarks:
            self._note(remark)
        positions = np.concatenate([image[listed], without])
        order = np.argsort(positions, kind="stable")
        codes = np.concatenate([classes[listed], np.full(len(without), -1)])
        none = pa.nulls(len(without), boxes.type)
        return positions[order], codes[order], pa.concat_arrays([boxes, none]).take(order)

    def _check_ids(self) -> None:
        """Note images without an id, and raise UserError for two with one id."""
        import pyarrow.compute as pc

        ids = self.images["id"]
        if nameless := ids.null_count:
            self._note(f"{counted(nameless, 'image')} without an id")
        if pc.count_distinct(ids).as_py() == len(ids) - nameless:
            return
        codes = coded(ids).codes
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        for row in np.flatnonzero(
            (first[inverse] != np.arange(len(codes))) & (codes >= 0)
        ).tolist():
            before = int(first[inverse[row]])
            one, other = (self.images["file"][at].as_py() for at in (before, row))
            if one != other:
                raise UserError(
                    f"images {before + 1:,} and {row + 1:,} of {self.ref} have one id,"
                    f" {ids[row].as_py()!r}, but are {one} and {other}; give each image its own"
                )
        kept = np.unique(np.where(codes < 0, np.arange(len(codes)), first[inverse]))
        self._note(f"{counted(len(codes) - len(kept), 'image')} listed again, counted once")
        self.images = self.images.take(kept)

    def _classes(self) -> Ints:
        """The number [n] of each annotation's name among the names of categories."""
        import pyarrow as pa
        import pyarrow.compute as pc

        categories = self.coco.categories
        column = self.coco.annotations["category"]
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
            self._note(f"{counted(nameless, 'annotation')} without a category, taken as unlabelled")
        numbers: dict[str, list[str]] = {}
        for one in categories:
            numbers.setdefault(one.name, []).append(one.number)
        for name, several in numbers.items():
            if len(several) > 1:
                self._note(f"categories {', '.join(several)} are all called {name}: one class")
        place = {name: at for at, name in enumerate(numbers)}
        by_category = np.array([place[one.name] for one in categories] + [-1])
        return by_category[of_category]

    def _note_strays(self, image: Ints) -> None:
        strays = np.flatnonzero(image < 0)
        if len(strays):
            named = self.coco.annotations["image"][int(strays[0])].as_py()
            self._note(
                f"{counted(len(strays), 'annotation')} of images that it does not list are left out"
                f" (first: number {strays[0] + 1:,}, of image {named})"
            )

    # -- images

    def _photos(self, positions: Ints, labels: pa.ChunkedArray) -> pa.Array:
        """The reference [n] of each image; null where there is no file."""
        import pyarrow.compute as pc

        folder = posixpath.dirname(self.ref)
        written = self.images["file"]
        found = find_photos(
            written,
            self.tree.pictures,
            (folder, ""),
            lambda name: self.tree.resolve(name, folder),
        )
        field = self.coco.fields["file"]
        self.decisions.append(
            Decision("photos", f"{field} of images in {self.ref}", "a usual name")
        )
        if how := found.sentence():
            self._note(f"{field} is read as {how}")
        absent = ~np.asarray(found.refs.is_valid())
        if absent.any():
            first = written[int(absent.argmax())].as_py()
            web = pc.sum(pc.starts_with(written, "http")).as_py() or 0
            self._note(
                f"{counted(int(absent.sum()), 'image')} of {len(absent):,} without a file in the"
                f" folder left out (first: {first}), rows by class:"
                f" {counts_of(labels.filter(absent[positions]))}"
                + (f"; {web:,} are addresses on the web" if web else "")
            )
        return found.refs

    def _groups(self) -> pa.ChunkedArray:
        if field := self.coco.fields.get("group"):
            number = len(self.images["group"].unique())
            self.decisions.append(
                Decision(
                    "group", f"{field} of images in {self.ref}, {number:,} values", "a usual name"
                )
            )
        return self.images["group"]

    def _sequences(self) -> pa.ChunkedArray:
        """The sequence of each image; of its place, where places have the same numbers."""
        import pyarrow as pa
        import pyarrow.compute as pc

        field = self.coco.fields.get("sequence")
        column = self.images["sequence"]
        if not field:
            return column
        sequence, group = coded(column), coded(self.images["group"])
        if len(sequence) == 1 and len(column) > 1:
            self._note(f"all images have {field} {sequence.values[0]}, which is no sequence")
            return pa.chunked_array([pa.nulls(len(column), pa.string())])
        self.decisions.append(
            Decision(
                "sequence",
                f"{field} of images in {self.ref}, {len(sequence):,} values",
                "a usual name",
            )
        )
        pairs = np.unique(sequence.codes * (len(group) + 1) + group.codes + 1)
        if len(np.unique(pairs // (len(group) + 1))) == len(pairs) or not len(group):
            return column
        self._note(f"{field} begins anew at other places: it counts together with the place")
        return pc.binary_join_element_wise(self.images["group"], column, "/")

    def _splits(self, photos: pa.Array, split: str | None) -> pa.ChunkedArray:
        """The split of each image: of its field, its file, or its folder."""
        import pyarrow as pa

        if field := self.coco.fields.get("split"):
            column = coded(self.images["split"])
            self.decisions.append(
                Decision("split", f"{field} of images in {self.ref}", "a usual name")
            )
            return column.column([split_of(value) or value for value in column.values])
        if split is None and (by_folder := _splits_of_folders(photos)) is not None:
            self.decisions.append(
                Decision("split", f"folders of the photos in {self.ref}", "usual names")
            )
            return by_folder
        return pa.chunked_array([pa.array([split] * len(photos), pa.string())])

    # -- classes

    def _note_classes(self, rows: pa.Table) -> None:
        labels = coded(rows["label"])
        others = [
            f"{name} ({count:,})"
            for name, count in zip(labels.values, labels.counts, strict=True)
            if name.casefold() in _NO_ANIMALS
        ]
        self.decisions.append(
            Decision("label", f"categories of {self.ref}, {len(labels)} with photos", "the format")
        )
        if others:
            self._note(
                f"classes that are no animals are kept: {some(others, most=8)};"
                " dataset.drop_classes leaves them out"
            )


def _splits_of_folders(photos: pa.Array) -> pa.ChunkedArray | None:
    """The split of each photo by its folders; None unless all have one, and some are train."""
    import pyarrow as pa
    import pyarrow.compute as pc

    folder = coded(pa.chunked_array([pc.replace_substring_regex(photos, r"/?[^/]*$", "")]))
    splits = [next(_splits_in(path), None) for path in folder.values]
    if None in splits or "train" not in splits or len(set(splits)) < 2:
        return None
    return folder.column(splits)


def _splits_in(folder: str) -> Iterator[str]:
    return (split for split in map(split_of, folder.split("/")) if split)


def _codes(found: pa.ChunkedArray | pa.Array) -> Ints:
    """Positions [n] as numbers; -1 for none."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)
