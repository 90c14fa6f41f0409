"""Crops photos to the animals that a detector found: results of MegaDetector beside a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.text import counted
from discl.parts.datasets.manifest.boxes import clip_boxes
from discl.parts.datasets.manifest.columns import coded, replaced
from discl.parts.datasets.manifest.lists.detector_results import read_results
from discl.parts.datasets.manifest.lists.find_photos import counts_of, find_photos
from discl.parts.datasets.manifest.rows import Contents, Decision

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
# kinds of categories and of labels; everything else is an animal
_KINDS = {
    "person": "person", "human": "person", "people": "person", "homo sapiens": "person",
    "vehicle": "vehicle", "car": "vehicle",
    "empty": "nothing", "blank": "nothing", "none": "nothing",
}  # fmt: skip
_KIND_NAMES = ["animal", *dict.fromkeys(_KINDS.values())]
NOTHING = _KIND_NAMES.index("nothing")


def cropped(
    contents: Contents, root: Path, crop: str, confidence: float = 0.2, padding: float = 0.0
) -> Contents:
    """Contents with a row for each animal that a detector found, in place of one for each photo.

    `crop`: the file of the results, below `root` or elsewhere: MegaDetector's format
    (https://github.com/agentmorris/MegaDetector, 1.0 to 1.6) or SpeciesNet's. A detection counts
    from `confidence` (0 to 1) on; its box grows by `padding`, a share of its side, on each side,
    and is cut at the edges of the photo. Photos of animals are cropped to animals, those of people
    to persons, those of vehicles to vehicles. Rows that have a box already keep it. Photos with
    nothing to crop to are left out and counted. Crops keep group, sequence and split of their
    photo; one without a sequence is its own, so that its crops are never separated.

    Raises UserError for a file that is missing or no results of a detector, and where no crop is
    left.
    """
    if not crop:
        return contents
    return _Cropping(contents, results_path(root, crop), crop).crop(confidence, padding)


class _Cropping:
    def __init__(self, contents: Contents, path: Path, name: str) -> None:
        self.contents = contents
        self.name = name
        self.results = read_results(path, name)
        self.remarks: list[str] = []

    def crop(self, confidence: float, padding: float) -> Contents:
        import pyarrow as pa
        import pyarrow.compute as pc

        whole = np.asarray(self.contents.rows["box"].is_null())
        rows = self._with_one_label(self.contents.rows.filter(whole))
        boxed = self.contents.rows.filter(~whole)
        if len(boxed):
            self._note(f"{counted(len(boxed), 'row')} with a box of their own keep it")
        row, boxes = self._detected(rows, confidence)
        start, size = boxes[:, :2], boxes[:, 2:]
        padded, _ = clip_boxes(
            np.concatenate([start - padding * size, (1 + 2 * padding) * size], 1)
        )
        crops = rows.take(row)
        crops = replaced(crops, "box", _column(padded, crops.schema.field("box").type))
        crops = pa.concat_tables([crops, boxed])
        if not len(crops):
            raise UserError(
                f"no photo is left to crop: {'; '.join(self.remarks)}; see whether"
                f" dataset.crop = {self.name!r} is of these photos, or lower"
                f" dataset.crop_confidence = {confidence}"
            )
        if len(row):
            photos = len(np.unique(row))
            self._note(
                f"{counted(len(row), 'crop')} from {counted(photos, 'photo')}"
                f" (dataset.crop_confidence = {confidence}, dataset.crop_padding = {padding})"
            )
        sequence = pc.coalesce(crops["sequence"], crops["ref"])
        crops = replaced(crops, "sequence", sequence)
        done = self.contents.with_rows(crops, *self.remarks)
        return done.decided(Decision("crop", f"boxes of {self.name}", "dataset.crop"))

    def _note(self, text: str) -> None:
        self.remarks.append(f"{self.name}: {text}")

    def _with_one_label(self, rows: pa.Table) -> pa.Table:
        """Rows of photos that have one label, once each."""
        photo, label = coded(rows["ref"]), coded(rows["label"])
        _, first = np.unique(photo.codes, return_index=True)
        mixed = np.zeros(len(photo), bool)
        mixed[photo.codes[label.codes != label.codes[first][photo.codes]]] = True
        if mixed.any():
            dropped = rows.filter(mixed[photo.codes])
            self._note(
                f"{counted(int(mixed.sum()), 'photo')} with several labels left out, for it is not"
                f" known which animal is which, rows by class: {counts_of(dropped['label'])}"
            )
        first = np.sort(first)
        return rows.take(first[~mixed[photo.codes[first]]])

    def _detected(self, rows: pa.Table, confidence: float) -> tuple[Ints, NDArray[np.float64]]:
        """(row, box [4]) of each crop; what has none is noted."""
        results = self.results
        row_of_entry = self._row_of_entry(rows)
        valid = self._valid()
        kept = valid & (results.confidence >= confidence) & (row_of_entry[results.entry] >= 0)
        of_label = kinds_of(rows["label"], {})
        of_category = kinds_of(results.category, results.categories)
        right = of_category == of_label[row_of_entry[results.entry]]
        right &= of_category != NOTHING
        self._note_unused(rows, row_of_entry, kept, right)
        chosen = np.flatnonzero(kept & right)
        row = row_of_entry[results.entry[chosen]]
        boxes, _ = clip_boxes(results.boxes[chosen])
        # by row, then as listed; equal boxes of one photo once
        rounded = np.column_stack([row, np.round(boxes * 10_000).astype(np.int64)])
        _, first = np.unique(rounded, axis=0, return_index=True)
        order = first[np.lexsort((first, row[first]))]
        return row[order], boxes[order]

    def _row_of_entry(self, rows: pa.Table) -> Ints:
        """The row [n] that each entry of the results is of; -1 for none."""
        import pyarrow.compute as pc

        files = self.results.files
        folder = self.name.replace("\\", "/").rpartition("/")[0]
        found = find_photos(files, rows["ref"].combine_chunks(), ("", folder))
        row = np.asarray(pc.fill_null(pc.index_in(found.refs, rows["ref"], skip_nulls=True), -1))
        if strange := np.flatnonzero((row < 0) & ~self.results.video).tolist():
            self._note(
                f"{counted(len(strange), 'entry', 'entries')} of {len(files):,} are of no photo"
                f" among these, not used (first: {files[strange[0]].as_py()})"
            )
        if videos := int(self.results.video.sum()):
            self._note(f"{counted(videos, 'video')} not used")
        return row.astype(np.int64)

    def _valid(self) -> NDArray[np.bool_]:
        """Whether each detection [d] has a confidence and a box that may be."""
        results = self.results
        _, inside = clip_boxes(results.boxes)
        likely = (results.confidence >= 0) & (results.confidence <= 1)
        valid: NDArray[np.bool_] = likely & (inside > 0)
        if wrong := np.flatnonzero(~valid).tolist():
            first = wrong[0]
            self._note(
                f"{counted(len(wrong), 'detection')} with a confidence or box out of range, not"
                f" used (first: {results.files[int(results.entry[first])].as_py()}, confidence"
                f" {results.confidence[first]:g}, box {results.boxes[first].tolist()}; boxes are"
                " shares of the photo)"
            )
        return valid

    def _note_unused(
        self, rows: pa.Table, row_of_entry: Ints, kept: NDArray[np.bool_], right: NDArray[np.bool_]
    ) -> None:
        results = self.results
        listed, failed, seen, used = (np.zeros(len(rows), bool) for _ in range(4))
        listed[row_of_entry[row_of_entry >= 0]] = True
        failed[row_of_entry[results.failed & (row_of_entry >= 0)]] = True
        seen[row_of_entry[results.entry[kept]]] = True
        used[row_of_entry[results.entry[kept & right]]] = True
        for mask, what in (
            (~listed, "without an entry"),
            (failed & ~used, "that the detector could not read"),
            (listed & ~failed & ~seen, "without a detection that is sure enough"),
            (seen & ~used & ~failed, "in which only something else than their class was found"),
        ):
            if mask.any():
                self._note(
                    f"{counted(int(mask.sum()), 'photo')} {what} left out:"
                    f" {counts_of(rows['label'].filter(mask))}"
                )


def results_path(root: Path, name: str, setting: str = "crop") -> Path:
    """The file of results that a setting names. Raises UserError where there is none."""
    places = [root / name.replace("\\", "/"), Path(name).expanduser()]
    for path in places:
        if path.is_file():
            return path
    raise UserError(
        f"dataset.{setting} = {name!r} is no file in {root}; give the path of the results"
    )


def kinds_of(column: Any, names: Mapping[str, str]) -> Ints:
    """The number [n] of the kind of each label, or of each category by its name.

    0 is an animal; `NOTHING` has no box.
    """
    import pyarrow as pa

    column = pa.chunked_array([column]) if isinstance(column, pa.Array) else column
    values = coded(column)
    number = [
        _KIND_NAMES.index(_KINDS.get(names.get(value, value).strip().casefold(), "animal"))
        for value in values.values
    ]
    return np.array([*number, 0], np.int64)[values.codes]


def _column(boxes: NDArray[np.float64], kind: Any) -> pa.ChunkedArray:
    import pyarrow as pa

    flat = pa.array(boxes.astype(np.float32).ravel())
    return pa.chunked_array([pa.FixedSizeListArray.from_arrays(flat, 4).cast(kind)])
