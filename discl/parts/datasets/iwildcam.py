"""iWildCam 2020 as WILDS v2.0 cuts it: camera traps, 182 labels, and cameras that training never
saw as ood/*.
"""

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
from discl.core.interfaces import Ints
from discl.files.disk import resource
from discl.files.sources import Archives, Remote
from discl.parts.datasets.base.photo_files import Listed, Listing

# WILDS' code of a split -> our name. Its `val` shows cameras unseen in training: scored and shown,
# never chosen by.
SPLITS = {
    "train": "train",
    "id_val": "val",
    "id_test": "id_test",
    "test": "ood/cameras",
    "val": "ood_val",
}
LEFT_OUT = 99999  # y of photos and categories that are not part of the benchmark

_NAMES = "pkg://discl/assets/datasets/iwildcam_names.json"


class IWildCam(Listed):
    """`root` is the folder that WILDS unpacks, or the one it lies in; empty, it is
    $DISCL_DATA/iwildcam_v2.0. `side`: the photos are seen as squares of so many pixels, the middle
    of each. `shared_names` gives the four kinds of animals that have two labels one name for both,
    as published code does: prompts and text heads cannot tell such labels apart then.

    `val` is WILDS' id_val, `ood/cameras` its test and `ood_val` its val. A photo's group is its
    camera.

    Photos: Beery, Cole and Gjoka 2020, under CDLA-Permissive-1.0. Splits: Koh et al. 2021 (WILDS).
    """

    version = 1
    grouped = True
    folder_name = "iwildcam_v2.0"
    layout = "metadata.csv, categories.csv and train/*.jpg"
    # WILDS gives a size of whole disk blocks and no checksum, so the download's bytes are not known
    # exactly
    sources = (
        Archives(
            "WILDS",
            (
                Remote(
                    "https://worksheets.codalab.org/rest/bundles/0x6313da2b204647e79a14b468131fcd64/contents/blob/",
                    about=11_957_420_032,
                ),
            ),
        ),
    )
    # Koh et al. 2021 (WILDS), appendix on iWildCam; the first is asserted by the data script of
    # FLYP (Goyal et al. 2023) as well
    published: Mapping[str, int] = {
        "train": 129_809,
        "val": 7_314,
        "id_test": 8_154,
        "ood/cameras": 42_791,
        "ood_val": 14_961,
    }

    def __init__(
        self,
        root: str = "",
        side: int = 224,
        shared_names: bool = False,
        most_unreadable: float = 0.001,
    ) -> None:
        super().__init__(root, side, most_unreadable)
        self.shared_names = shared_names

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
            *_name_notes(self.classes, english(self._categories, shared=True), self._truth),
        )

    @cached_property
    def _categories(self) -> tuple[str, ...]:
        return read_categories(self.place / "categories.csv")

    @property
    def _truth(self) -> dict[str, Ints]:
        return {name: self.listing(name).labels for name in self.splits if name != "train"}


# ---------------------------------------------------------------- the two files


def read_metadata(path: Path, classes: int) -> dict[str, Listing]:
    """Our splits, from WILDS' metadata.csv: a line a photo; its split, label (`y`) and camera
    (`location_remapped`).
    """
    columns = _columns(
        path, {"split": "string", "filename": "string", "y": "int64", "location_remapped": "int64"}
    )
    labels = _numbers(columns["y"])
    if len(strange := np.flatnonzero((labels < 0) | ((labels >= classes) & (labels < LEFT_OUT)))):
        line = int(strange[0])
        raise UserError(
            f"{path}, line {line + 2}: y = {labels[line]} is no label; they run from 0 to"
            f" {classes - 1}, as categories.csv lists them ({_lines(strange)}); unpack the archive"
            " again"
        )
    coded = columns["split"].dictionary_encode()
    codes = _numbers(coded.indices)
    spelt = coded.dictionary.to_pylist()
    if unheard := set(spelt) - set(SPLITS):
        strange = np.flatnonzero(codes == spelt.index(sorted(unheard)[0]))
        raise UserError(
            f"{path}, line {strange[0] + 2}: split {sorted(unheard)[0]!r} is none of"
            f" {', '.join(SPLITS)} ({_lines(strange)}); unpack the archive again"
        )
    refs = np.array([f"train/{name}" for name in columns["filename"].to_pylist()], dtype=np.str_)
    groups = _numbers(columns["location_remapped"])
    rows = {
        ours: np.flatnonzero((codes == spelt.index(code)) & (labels < LEFT_OUT))
        for code, ours in SPLITS.items()
        if code in spelt
    }
    return {name: Listing(refs[mine], labels[mine], groups[mine]) for name, mine in rows.items()}


def _lines(strange: Ints) -> str:
    return f"{len(strange)} lines are like that" if len(strange) > 1 else "one line is like that"


def read_categories(path: Path) -> tuple[str, ...]:
    """Names of the labels 0, 1, 2 ... as categories.csv spells them: mostly scientific ones."""
    columns = _columns(path, {"y": "int64", "name": "string"})
    labels = _numbers(columns["y"])
    kept = np.flatnonzero(labels < LEFT_OUT)
    order = kept[np.argsort(labels[kept], kind="stable")]
    if not len(order) or not np.array_equal(labels[order], np.arange(len(order))):
        raise UserError(
            f"{path}: y below {LEFT_OUT} should be 0, 1, 2 ... each once, but is not; unpack the"
            " archive again"
        )
    return tuple(columns["name"].take(order).to_pylist())


def _columns(path: Path, types: Mapping[str, str]) -> dict[str, Any]:
    """Columns of a CSV file as Arrow arrays without a gap.

    Only these are read: the dates of 200,000 lines cost most of the time.
    """
    import pyarrow as pa
    from pyarrow import csv

    wanted = csv.ConvertOptions(
        include_columns=list(types),
        column_types={name: pa.type_for_alias(kind) for name, kind in types.items()},
    )
    try:
        table = csv.read_csv(path, convert_options=wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = str(error).splitlines()[0]
        raise UserError(
            f"{path} is not the table WILDS writes, with columns {', '.join(types)} ({why}); unpack"
            " the archive again"
        ) from error
    for name in types:
        if gaps := table[name].null_count:
            raise UserError(f"{path}: {gaps} lines have no {name}; unpack the archive again")
    return {name: table[name].combine_chunks() for name in types}


def _numbers(column: Any) -> NDArray[Any]:
    """An Arrow column of whole numbers as numpy sees it.

    Arrow's `to_numpy` would import pandas, and that takes a second.
    """
    return np.from_dlpack(column)


# ---------------------------------------------------------------- names


def english(scientific: Sequence[str], shared: bool = False) -> tuple[str, ...]:
    """Common names of categories; one we do not know stays as it is.

    Four kinds of animals have two labels each, because the people who labelled the photos spelt
    them in two ways. Unless `shared`, the second label gets another of the animal's English names,
    so that a text can tell the two apart.
    """
    table = json.loads(resource(_NAMES).read_text("utf-8"))
    common = table["common"]
    apart = {} if shared else table["told_apart"]
    named = [apart.get(name) or common.get(name) or name for name in scientific]
    if shared:
        return tuple(named)
    times = Counter(named)
    own = (
        scientific
        if len(set(scientific)) == len(scientific)
        else [f"label {label}" for label in range(len(named))]
    )
    return tuple(
        f"{name} ({own[label]})" if times[name] > 1 else name for label, name in enumerate(named)
    )


def namesakes(names: Sequence[str]) -> list[list[int]]:
    """Labels that share a name, two or more at a time."""
    members: dict[str, list[int]] = {}
    for label, name in enumerate(names):
        members.setdefault(name, []).append(label)
    return [labels for labels in members.values() if len(labels) > 1]


def text_ceiling(names: Sequence[str], labels: Ints) -> float:
    """Highest macro-F1 over `labels` of a classifier that knows a class by its name alone and makes
    no other mistake.

    Labels of one name get one score, so that all photos of them are called by one of them; the
    ceiling takes the one for which the mean F1 over the classes present is highest, where a run
    takes the first.
    """
    held = np.bincount(labels, minlength=len(names))
    scores = (held > 0).astype(float)
    for sharing in namesakes(names):
        mine = held[sharing]
        if mine.any():
            scores[sharing] = 0.0
            # precision = its share among them, recall = 1
            scores[sharing[int(mine.argmax())]] = 2 * mine.max() / (mine.max() + mine.sum())
    return float(scores[held > 0].mean())


def _name_notes(
    given: Sequence[str], shared: Sequence[str], truth: Mapping[str, Ints]
) -> Iterator[str]:
    """What the names are worth to a classifier that goes by them; `truth` are the labels of each
    split that is scored.
    """
    same = namesakes(shared)
    if not same:
        return
    which = ", ".join(f"{shared[labels[0]]} ({' and '.join(map(str, labels))})" for labels in same)
    ceilings = ", ".join(
        f"{text_ceiling(shared, labels):.3f} on {name}" for name, labels in truth.items()
    )
    how = (
        "They share their names here"
        if namesakes(given)
        else "Here the second of each has another English name of the animal"
    )
    yield (
        f"labels that name one animal: {which}. {how}; a classifier by names that are shared and"
        f" right in all else reaches macro-F1 {ceilings}"
    )
