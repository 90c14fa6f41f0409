"""Boxes that a detector found in photos, offered to generators that keep or repaint what is there.

The photos stay whole; `detections` is what crops them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from discl.core.errors import UserError
from discl.core.hashing import short
from discl.core.interfaces import Box, Listing
from discl.core.plain_files import plain_bytes
from discl.core.text import counted
from discl.files.contents import digest_of
from discl.parts.datasets.manifest.boxes import clip_boxes, split_box
from discl.parts.datasets.manifest.detections import NOTHING, kinds_of, results_path
from discl.parts.datasets.manifest.lists.detector_results import DetectorResults, read_results
from discl.parts.datasets.manifest.lists.find_photos import find_photos

_DIGITS = 5  # of a share: a hundred-thousandth of a photo


class PhotoBoxes:
    """The boxes of one file: MegaDetector's format, 1.0 to 1.6, or SpeciesNet's.

    `file` lies below the photos' folder `root`, or elsewhere; boxes count from `confidence` on.
    Raises UserError for a file that is missing, and for a confidence out of range.
    """

    def __init__(self, root: Path, file: str, confidence: float) -> None:
        check_confidence(confidence)
        self.path = results_path(root, file, "boxes")
        self.name = file
        self.confidence = confidence

    @property
    def digest(self) -> str:
        """Of the file and the confidence: it stands for all boxes; the file is not understood."""
        return short([digest_of(plain_bytes(self.path)).decode(), self.confidence])

    def of(self, listing: Listing, classes: Sequence[str]) -> list[tuple[Box, ...]]:
        """The boxes [n] of each photo of a split, most certain first.

        Those of animals in photos of animals, of persons in those of persons, of vehicles in those
        of vehicles. Boxes are cut at the photo's edges; what has no area inside is none. A photo
        that is a crop itself has none.

        Raises UserError for what is no file of results.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        results = self._results
        refs = pa.array(listing.refs.tolist(), pa.string())
        folder = self.name.replace("\\", "/").rpartition("/")[0]
        named = find_photos(results.files, refs, ("", folder)).refs
        rows = np.asarray(pc.fill_null(pc.index_in(named, refs, skip_nulls=True), -1), np.int64)
        row = rows[results.entry]
        boxes, inside = clip_boxes(results.boxes)
        kept = (row >= 0) & (inside > 0) & (results.confidence >= self.confidence)
        kept &= results.confidence <= 1
        of_class = kinds_of(pa.array(classes, pa.string()), {})
        of_category = kinds_of(results.category, results.categories)
        wanted = of_class[listing.labels[np.maximum(row, 0)]]
        chosen = np.flatnonzero(kept & (of_category == wanted) & (of_category != NOTHING))
        order = chosen[np.lexsort((chosen, -results.confidence[chosen], row[chosen]))]
        each: list[dict[Box, None]] = [{} for _ in range(len(listing.refs))]
        for place, box in zip(
            row[order].tolist(), boxes[order].round(_DIGITS).tolist(), strict=True
        ):
            if box[2] > 0 and box[3] > 0:
                each[place][tuple(box)] = None
        crops = [split_box(ref)[1] is not None for ref in listing.refs.tolist()]
        return [() if crop else tuple(found) for crop, found in zip(crops, each, strict=True)]

    def remark(self, split: str, listing: Listing, classes: Sequence[str]) -> str:
        """A sentence on how many photos of a split have a box."""
        boxes = self.of(listing, classes)
        lacking = [ref for ref, each in zip(listing.refs.tolist(), boxes, strict=True) if not each]
        with_one = len(boxes) - len(lacking)
        return (
            f"{split}: {counted(with_one, 'photo')} of {len(boxes):,} have a box of {self.name}"
            f" with a confidence from {self.confidence:g} on"
            + (f" (the first without: {lacking[0]})" if lacking else "")
        )

    @cached_property
    def _results(self) -> DetectorResults:
        return read_results(self.path, self.name, "boxes")


def check_confidence(confidence: float) -> None:
    """Raises UserError for what is no confidence of a detector."""
    if not 0 <= confidence <= 1:
        raise UserError(f"dataset.boxes_confidence = {confidence}: takes 0 to 1")
