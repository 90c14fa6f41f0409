"""Reads what a detector of animals found in photos: results of MegaDetector and SpeciesNet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.parts.datasets.manifest.lists.json_records import Record, head, read_records, read_value
from discl.parts.datasets.manifest.tree import FileTree, path_of

if TYPE_CHECKING:
    import pyarrow as pa

Ints = NDArray[np.int64]
_MOST_FILES = 32  # whose beginning is read
# where each tool writes its photos, and their paths
_ARRAYS = ("images", "predictions")
_PATHS = ("file", "filepath", "file_name", "id")
_OF_A_RESULT = ("detections", "failure", "failures", "max_detection_conf")
# MegaDetector's, where a file does not say
_USUAL_CATEGORIES = {"1": "animal", "2": "person", "3": "vehicle"}
_NO_NUMBERS = (math.nan,) * 5


class DetectorResults(NamedTuple):
    """Entries [n] of a results file, one a photo, and their detections [d]."""

    files: pa.Array  # [n] paths as written
    failed: NDArray[np.bool_]  # [n]
    video: NDArray[np.bool_]  # [n]
    entry: Ints  # [d]
    category: pa.Array  # [d] text
    confidence: NDArray[np.float64]  # [d] NaN where it is no number
    boxes: NDArray[np.float64]  # [d, 4] shares of the photo
    categories: Mapping[str, str]  # number of a category -> its name


def read_results(path: Path, name: str, setting: str = "crop") -> DetectorResults:
    """Read results in MegaDetector's format, 1.0 to 1.6, or SpeciesNet's.

    `name` is that of the file in messages, and `setting` that of the dataset which names it.

    Raises UserError for a file that is damaged or holds something else.
    """
    import pyarrow as pa

    parts = read_records(path, name, _array(path, name, setting), _converted)
    if not parts:
        raise UserError(f"dataset.{setting} = {name!r} lists no photo; run the detector again")
    starts = np.cumsum([0] + [len(part.files) for part in parts[:-1]])
    return DetectorResults(
        pa.concat_arrays([part.files for part in parts]),
        np.concatenate([part.failed for part in parts]),
        np.concatenate([part.video for part in parts]),
        np.concatenate([part.entry + start for part, start in zip(parts, starts, strict=True)]),
        pa.concat_arrays([part.category for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        _categories(path, name),
    )


def results_in(tree: FileTree) -> list[str]:
    """References of the files in a folder that hold results of a detector."""
    named = [ref for ref in tree.lists if ref.lower().endswith(".json")][:_MOST_FILES]
    return [ref for ref in named if _has_results(head(tree.root / path_of(ref), _ARRAYS))]


def _has_results(first: Mapping[str, Record]) -> bool:
    return any(field in record for record in first.values() for field in _OF_A_RESULT)


def _categories(path: Path, name: str) -> dict[str, str]:
    named = read_value(path, name, "detection_categories")
    categories = named if isinstance(named, Mapping) else _USUAL_CATEGORIES
    return {str(number): str(title) for number, title in categories.items()}


def _converted(records: list[Record], first: int) -> DetectorResults:
    import pyarrow as pa

    files, failed, video = list[str | None](), list[bool](), list[bool]()
    entries, categories = list[int](), list[str]()
    numbers = list[float]()
    for place, record in enumerate(records):
        path = next((record[field] for field in _PATHS if record.get(field) is not None), None)
        files.append(None if path is None else str(path))
        found = record.get("detections")
        failed.append(bool(record.get("failure") or record.get("failures")))
        video.append("frame_rate" in record or "frames_processed" in record)
        if not isinstance(found, list) or video[-1]:
            continue
        for detection in found:
            if not isinstance(detection, dict):
                continue
            entries.append(place)
            categories.append(str(detection.get("category")))
            numbers += _numbers(detection)
    table = np.array(numbers, np.float64).reshape(-1, 5)
    return DetectorResults(
        pa.array(files, pa.string()),
        np.array(failed, bool),
        np.array(video, bool),
        np.array(entries, np.int64),
        pa.array(categories, pa.string()),
        table[:, 0],
        table[:, 1:],
        {},
    )


def _numbers(detection: Record) -> Sequence[float]:
    """Confidence and box of a detection; NaN for what is no number."""
    try:
        numbers = [detection.get("conf", math.nan), *(detection.get("bbox") or ())]
        return [float(number) for number in numbers] if len(numbers) == 5 else _NO_NUMBERS
    except (TypeError, ValueError):
        return _NO_NUMBERS


def _array(path: Path, name: str, setting: str) -> str:
    """The array with a record for each photo. Raises UserError for another kind of file."""
    first = head(path, _ARRAYS)
    for array, record in first.items():
        if not record or any(field in record for field in _OF_A_RESULT):
            return array
    has = [f"its {array} have {', '.join(record)}" for array, record in first.items()]
    raise UserError(
        f"dataset.{setting} = {name!r} holds no results of a detector"
        f" ({'; '.join(has) or 'it has no images'}); give a JSON in MegaDetector's format,"
        " with a file and detections for each of its images"
    )
