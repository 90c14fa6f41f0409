"""iWildCam 2020 as WILDS v2.0 cuts it: camera traps, 182 labels, and cameras that training never saw as ood/*."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.spec.errors import UserError
from discl.spec.kinds import Ints

# WILDS' code of a split -> our name. Its `val` shows cameras unseen in training: scored and shown, never chosen by.
SPLITS = {"train": "train", "id_val": "val", "id_test": "id_test", "test": "ood/cameras", "val": "ood_val"}
LEFT_OUT = 99999  # y of photos and categories that are not part of the benchmark

_NAMES = Path(__file__).resolve().parents[2] / "assets" / "datasets" / "iwildcam_names.json"


class Listing(NamedTuple):
    refs: NDArray[np.str_]
    labels: Ints
    groups: Ints


# ---------------------------------------------------------------- the two files


def read_metadata(path: Path, classes: int) -> dict[str, Listing]:
    """Our splits, from WILDS' metadata.csv: a line a photo; its split, label (`y`) and camera (`location_remapped`)."""
    columns = _columns(path, {"split": "string", "filename": "string", "y": "int64", "location_remapped": "int64"})
    labels = _numbers(columns["y"])
    if len(strange := np.flatnonzero((labels < 0) | ((labels >= classes) & (labels < LEFT_OUT)))):
        line = int(strange[0])
        raise UserError(
            f"{path}, line {line + 2}: y = {labels[line]} is no label; they run from 0 to {classes - 1}, as categories.csv lists them "
            f"({_lines(strange)}); unpack the archive again"
        )
    coded = columns["split"].dictionary_encode()
    codes, spelt = _numbers(coded.indices), coded.dictionary.to_pylist()
    if unheard := set(spelt) - set(SPLITS):
        strange = np.flatnonzero(codes == spelt.index(sorted(unheard)[0]))
        raise UserError(
            f"{path}, line {strange[0] + 2}: split {sorted(unheard)[0]!r} is none of {', '.join(SPLITS)} ({_lines(strange)}); "
            "unpack the archive again"
        )
    refs = np.array([f"train/{name}" for name in columns["filename"].to_pylist()], dtype=np.str_)
    groups = _numbers(columns["location_remapped"])
    rows = {SPLITS[code]: np.flatnonzero((codes == place) & (labels < LEFT_OUT)) for place, code in enumerate(spelt)}
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
        raise UserError(f"{path}: y below {LEFT_OUT} should be 0, 1, 2 ... each once, but is not; unpack the archive again")
    return tuple(columns["name"].take(order).to_pylist())


def _columns(path: Path, types: Mapping[str, str]) -> dict[str, Any]:
    """Columns of a CSV file as Arrow arrays without a gap. Only these are read: the dates of 200,000 lines cost most of the time."""
    import pyarrow as pa
    from pyarrow import csv

    wanted = csv.ConvertOptions(include_columns=list(types), column_types={name: pa.type_for_alias(kind) for name, kind in types.items()})
    try:
        table = csv.read_csv(path, convert_options=wanted)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        why = str(error).splitlines()[0]
        raise UserError(f"{path} is not the table WILDS writes, with columns {', '.join(types)} ({why}); unpack the archive again") from error
    for name in types:
        if gaps := table[name].null_count:
            raise UserError(f"{path}: {gaps} lines have no {name}; unpack the archive again")
    return {name: table[name].combine_chunks() for name in types}


def _numbers(column: Any) -> NDArray[Any]:
    """An Arrow column of whole numbers as numpy sees it. Arrow's `to_numpy` would import pandas, and that takes a second."""
    return np.from_dlpack(column)


# ---------------------------------------------------------------- names


def english(scientific: Sequence[str], shared: bool = False) -> tuple[str, ...]:
    """Common names of categories; one we do not know stays as it is.

    Four kinds of animals have two labels each, because the people who labelled the photos spelt them in two ways. Unless
    `shared`, the second label gets another of the animal's English names, so that a text can tell the two apart.
    """
    table = json.loads(_NAMES.read_text("utf-8"))
    common, apart = table["common"], {} if shared else table["told_apart"]
    named = [apart.get(name) or common.get(name) or name for name in scientific]
    if shared:
        return tuple(named)
    twice = {name for name, times in Counter(named).items() if times > 1}
    return tuple(f"{name} ({own})" if name in twice else name for name, own in zip(named, scientific, strict=True))


def namesakes(names: Sequence[str]) -> list[list[int]]:
    """Labels that share a name, two or more at a time."""
    members: dict[str, list[int]] = {}
    for label, name in enumerate(names):
        members.setdefault(name, []).append(label)
    return [labels for labels in members.values() if len(labels) > 1]


def text_ceiling(names: Sequence[str], labels: Ints) -> float:
    """Highest macro-F1 over `labels` of a classifier that knows a class by its name alone and makes no other mistake.

    Labels of one name get one score, so that all photos of them are called by one of them; the ceiling takes the one for
    which the mean F1 over the classes present is highest, where a run takes the first.
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
