"""iWildCam of WILDS v2.0: camera traps, 182 labels; cameras that train lacks are OOD splits."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints, Listing
from discl.core.plain_files import plain
from discl.files.disk import resource
from discl.files.sources import Address, Archives, RemoteFile
from discl.parts.datasets.base.file_dataset import FileDataset
from discl.parts.datasets.manifest.photo_boxes import check_confidence

# WILDS' name of a split -> ours. Its `val` has cameras unseen in training: it chooses no epoch.
SPLITS = {
    "train": "train",
    "id_val": "val",
    "id_test": "id_test",
    "test": "ood/cameras",
    "val": "ood_val",
}
UNUSED_LABEL = 99999  # of photos and categories that are not part of the benchmark

_NAMES = "pkg://discl/assets/datasets/iwildcam_names.json"


class IWildCam(FileDataset):
    """iWildCam 2020 (Beery, Cole and Gjoka 2020) with the splits of WILDS (Koh et al. 2021).

    `root` is the folder that WILDS unpacks, or the one it lies in; empty, it is
    $DISCL_DATA/iwildcam_v2.0. `side`: photos are seen as squares of so many pixels, cut from the
    middle. `shared_names` gives the four kinds of animals that have two labels one name for both,
    as published code does: prompts and text heads cannot tell such labels apart then. `val` is
    WILDS' id_val, `ood/cameras` its test and `ood_val` its val. A photo's group is its camera. The
    photos are under CDLA-Permissive-1.0.
    """

    version = 1
    grouped = True
    folder_name = "iwildcam_v2.0"
    layout = "metadata.csv, categories.csv and train/*.jpg"
    # docs/reference/sources.md says what the size and the digests are confirmed by
    sources = (
        Archives(
            "WILDS",
            (
                RemoteFile(
                    "https://worksheets.codalab.org/rest/bundles/0x6313da2b204647e79a14b468131fcd64/contents/blob/",
                    bytes=11_957_415_473,
                    sha256="05c872f46eee44315f79bc90f4098c69ae3799a2b95116db02292ea1b4e370d2",
                    file_name="iwildcam_v2.0.tar.gz",
                    failing=(
                        "server errors since 2025-06-23, github.com/p-lambda/wilds issues 171 and"
                        " 174; certificate expired 2026-06-22,"
                        " github.com/codalab/codalab-worksheets issue 4606"
                    ),
                    mirrors=(
                        Address(
                            "hf://datasets/emmilly/iwildcam-wilds-v2@main/iwildcam_v2.0.tar.gz"
                        ),
                        Address(
                            "hf://datasets/FARBench/iwildcam-wilds-v2@main/iwildcam_v2.0.tar.gz"
                        ),
                    ),
                    holds=(("metadata.csv", "ab4905ee40ac45ab66ddb176d473a4b4"),),
                ),
            ),
        ),
    )
    # appendix on iWildCam of Koh et al. 2021; the data script of FLYP (Goyal et al. 2023) asserts
    # the first number too
    published: Mapping[str, int] = {
        "train": 129_809,
        "val": 7_314,
        "id_test": 8_154,
        "ood/cameras": 42_791,
        "ood_val": 14_961,
    }
    published_classes = 182

    def __init__(
        self,
        root: str = "",
        side: int = 224,
        shared_names: bool = False,
        most_unreadable: float = 0.001,
        boxes: str = "",
        boxes_confidence: float = 0.2,
    ) -> None:
        """Settings:

        `root`: the folder that WILDS unpacks, or the one it lies in; empty is
            $DISCL_DATA/iwildcam_v2.0.
        `side`: pixels of the side of the square that networks see.
        `shared_names`: one name for the kinds of animals that have two labels, as published code
            gives them.
        `most_unreadable`: share of listed photos that may be missing, and of photos that may be
            unreadable.
        `boxes`: a file with a detector's boxes, such as MegaDetector's of iWildCam 2020, for
            generators that keep or repaint the animals.
        `boxes_confidence`: of the detector, from which on a box counts.
        """
        super().__init__(root, side, most_unreadable)
        check_confidence(boxes_confidence)
        self.shared_names = shared_names
        self.boxes = boxes
        self.boxes_confidence = boxes_confidence

    @property
    def classes(self) -> tuple[str, ...]:
        return english(self._categories, self.shared_names)

    def holds(self, root: Path) -> bool:
        return (root / "metadata.csv").is_file() and (root / "categories.csv").is_file()

    def listings(self, root: Path) -> Mapping[str, Listing]:
        return read_metadata(root / "metadata.csv", len(self._categories))

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {self.classes[label]} in the wild",)

    @property
    def notes(self) -> tuple[str, ...]:
        return (
            *super().notes,
            *_name_notes(self.classes, english(self._categories, shared=True), self._scored_labels),
        )

    @cached_property
    def _categories(self) -> tuple[str, ...]:
        return read_categories(self.folder / "categories.csv")

    @property
    def _scored_labels(self) -> dict[str, Ints]:
        """Labels [n] of each split that is scored."""
        return {name: self.listing(name).labels for name in self.splits if name != "train"}


# ---------------------------------------------------------------- the two files


def read_metadata(path: Path, classes: int) -> dict[str, Listing]:
    """Our splits from WILDS' metadata.csv: split, label `y` and camera `location_remapped`.

    Raises UserError for an unknown label or split, naming the line.
    """
    columns = _columns(
        path, {"split": "string", "filename": "string", "y": "int64", "location_remapped": "int64"}
    )
    labels = _numbers(columns["y"])
    invalid = np.flatnonzero((labels < 0) | ((labels >= classes) & (labels < UNUSED_LABEL)))
    if len(invalid):
        line = int(invalid[0])
        raise UserError(
            f"{path}, line {line + 2}: y = {labels[line]} is no label; they run from 0 to"
            f" {classes - 1}, as categories.csv lists them ({_lines(invalid)}); unpack the archive"
            " again"
        )
    coded = columns["split"].dictionary_encode()
    codes = _numbers(coded.indices)
    split_names = coded.dictionary.to_pylist()
    unknown_splits = sorted(set(split_names) - set(SPLITS))
    if unknown_splits:
        invalid = np.flatnonzero(codes == split_names.index(unknown_splits[0]))
        raise UserError(
            f"{path}, line {invalid[0] + 2}: split {unknown_splits[0]!r} is none of"
            f" {', '.join(SPLITS)} ({_lines(invalid)}); unpack the archive again"
        )
    refs = np.array([f"train/{name}" for name in columns["filename"].to_pylist()], dtype=np.str_)
    groups = _numbers(columns["location_remapped"])
    rows = {
        split: np.flatnonzero((codes == split_names.index(name)) & (labels < UNUSED_LABEL))
        for name, split in SPLITS.items()
        if name in split_names
    }
    return {
        split: Listing(refs[members], labels[members], groups[members])
        for split, members in rows.items()
    }


def _lines(rows: Ints) -> str:
    return f"{len(rows)} lines are like that" if len(rows) > 1 else "one line is like that"


def read_categories(path: Path) -> tuple[str, ...]:
    """Names of the labels 0, 1, 2 ... in categories.csv: mostly scientific ones.

    Raises UserError where the labels are not these.
    """
    columns = _columns(path, {"y": "int64", "name": "string"})
    labels = _numbers(columns["y"])
    kept = np.flatnonzero(labels < UNUSED_LABEL)
    order = kept[np.argsort(labels[kept], kind="stable")]
    if not len(order) or not np.array_equal(labels[order], np.arange(len(order))):
        raise UserError(
            f"{path}: y below {UNUSED_LABEL} should be 0, 1, 2 ... each once, but is not; unpack"
            " the archive again"
        )
    return tuple(columns["name"].take(order).to_pylist())


def _columns(path: Path, types: Mapping[str, str]) -> dict[str, Any]:
    """Columns of a CSV file as Arrow arrays; other columns are not parsed, which takes far longer.

    Raises UserError where a column is missing, has another type or has empty cells.
    """
    import pyarrow as pa
    from pyarrow import csv

    options = csv.ConvertOptions(
        include_columns=list(types),
        column_types={name: pa.type_for_alias(kind) for name, kind in types.items()},
    )
    try:
        table = csv.read_csv(plain(path), convert_options=options)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{path} is not the table WILDS writes, with columns {', '.join(types)} ({reason});"
            " unpack the archive again"
        ) from error
    for name in types:
        if gaps := table[name].null_count:
            raise UserError(f"{path}: {gaps} lines have no {name}; unpack the archive again")
    return {name: table[name].combine_chunks() for name in types}


def _numbers(column: Any) -> NDArray[Any]:
    """An Arrow column of integers as an array [n], without the pandas import of `to_numpy`."""
    return np.from_dlpack(column)


# ---------------------------------------------------------------- names


def english(scientific: Sequence[str], shared: bool = False) -> tuple[str, ...]:
    """Common names of categories; an unknown one stays as it is.

    Four kinds of animals have two labels each, because their names were spelt in two ways. Unless
    `shared`, the second label gets another of the animal's English names, so that prompts differ.
    """
    table = json.loads(resource(_NAMES).read_text("utf-8"))
    common = table["common"]
    second_names = {} if shared else table["told_apart"]
    names = [second_names.get(name) or common.get(name) or name for name in scientific]
    if shared:
        return tuple(names)
    occurrences = Counter(names)
    distinct = (
        scientific
        if len(set(scientific)) == len(scientific)
        else [f"label {label}" for label in range(len(names))]
    )
    return tuple(
        f"{name} ({distinct[label]})" if occurrences[name] > 1 else name
        for label, name in enumerate(names)
    )


def labels_with_one_name(names: Sequence[str]) -> list[list[int]]:
    """Lists of two or more labels that share a name."""
    members: dict[str, list[int]] = {}
    for label, name in enumerate(names):
        members.setdefault(name, []).append(label)
    return [labels for labels in members.values() if len(labels) > 1]


def text_ceiling(names: Sequence[str], labels: Ints) -> float:
    """Highest macro-F1 over `labels` [n] of a classifier that only confuses labels of one name.

    Such labels get one score, so that all their photos get one of the labels. A run takes the first
    of them; the ceiling takes the one with the highest mean F1 over the classes present.
    """
    counts = np.bincount(labels, minlength=len(names))
    scores = (counts > 0).astype(float)
    for same_name in labels_with_one_name(names):
        photos = counts[same_name]
        if photos.any():
            scores[same_name] = 0.0
            # precision = its share among them, recall = 1
            best = same_name[int(photos.argmax())]
            scores[best] = 2 * photos.max() / (photos.max() + photos.sum())
    return float(scores[counts > 0].mean())


def _name_notes(
    names: Sequence[str], shared: Sequence[str], scored_labels: Mapping[str, Ints]
) -> Iterator[str]:
    """A sentence on labels with one name, and the best macro-F1 of a classifier by names."""
    same = labels_with_one_name(shared)
    if not same:
        return
    which = ", ".join(f"{shared[labels[0]]} ({' and '.join(map(str, labels))})" for labels in same)
    ceilings = ", ".join(
        f"{text_ceiling(shared, labels):.3f} on {name}" for name, labels in scored_labels.items()
    )
    how = (
        "They share their names here"
        if labels_with_one_name(names)
        else "Here the second of each has another English name of the animal"
    )
    yield (
        f"labels that name one animal: {which}. {how}; a classifier by names that are shared and"
        f" right in all else reaches macro-F1 {ceilings}"
    )
