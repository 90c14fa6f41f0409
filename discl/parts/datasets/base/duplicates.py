"""Photos that stand in a dataset more than once: byte for byte, or so that they look alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.hashing import short
from discl.core.interfaces import Ints
from discl.core.seals import DamagedFileError, read_sealed, sealed_text
from discl.files.disk import write_text
from discl.files.sealed import AGAIN, told
from discl.parts.datasets.base.likeness import alike
from discl.parts.datasets.base.photo_contents import SplitContents
from discl.parts.datasets.base.survey import examples

VERSION = 1  # raised when other photos are said to look alike
_TESTS = ("test", "id_test")  # and those below ood/


class Pair(NamedTuple):
    """Photos of one split that are in another one, too."""

    split: str  # the later one
    other: str
    rows: Ints  # [k], of `split`
    others: Ints  # [k], the first photo of `other` that is the same


def is_test(split: str) -> bool:
    """Whether photos of a split are never learned from, nor anything chosen by them."""
    return split in _TESTS or split.startswith("ood/")


def equal_across(splits: Mapping[str, SplitContents]) -> list[Pair]:
    """Photos that are byte for byte in two splits, of each pair of splits that share some."""
    names = list(splits)
    pairs = []
    for place, other in enumerate(names):
        first = _First(splits[other].contents)
        for split in names[place + 1 :]:
            of_other = first.row_of(splits[split].contents)
            rows = np.flatnonzero(of_other >= 0)
            if len(rows):
                pairs.append(Pair(split, other, rows, of_other[rows]))
    return pairs


def alike_to_train(
    splits: Mapping[str, SplitContents], small: Mapping[str, NDArray[np.uint8]]
) -> list[Pair]:
    """Photos of each split that look like one of train and are not equal to one.

    `small` has the small pictures [n, 256] of each split.
    """
    first = _First(splits["train"].contents)
    pairs = []
    for split, photos in splits.items():
        if split == "train":
            continue
        others = np.flatnonzero(first.row_of(photos.contents) < 0)
        found = alike(small[split][others], small["train"])
        is_like = found >= 0
        if is_like.any():
            pairs.append(Pair(split, "train", others[is_like], found[is_like]))
    return pairs


def stored_alike(
    home: Path,
    maps: Sequence[str],
    splits: Mapping[str, SplitContents],
    small: Callable[[], Mapping[str, NDArray[np.uint8]]],
) -> list[Pair]:
    """`alike_to_train`, remembered under `home` for the decoded maps of these names.

    `small` gives the small pictures [n, 256] of each split.
    """
    path = home / f"{short([VERSION, list(splits), list(maps)])}.json"
    if path.exists():
        try:
            return [
                Pair(split, other, np.array(rows, np.int64), np.array(others, np.int64))
                for split, other, rows, others in read_sealed(path, AGAIN)["pairs"]
            ]
        except (DamagedFileError, KeyError, ValueError, TypeError) as error:
            told(error)
    pairs = alike_to_train(splits, small())
    rows = [[pair.split, pair.other, pair.rows.tolist(), pair.others.tolist()] for pair in pairs]
    write_text(path, sealed_text({"pairs": rows}))
    return pairs


def tests_in_train(pairs: Sequence[Pair]) -> int:
    """How many photos of test splits are in train, too."""
    return sum(len(pair.rows) for pair in pairs if pair.other == "train" and is_test(pair.split))


def remarks(
    splits: Mapping[str, SplitContents], near: Sequence[Pair], classes: Sequence[str]
) -> list[str]:
    """Sentences on photos that stand in a dataset more than once."""
    told = [
        f"{pair.split}: {len(pair.rows):,} photo(s) are in {pair.other} too, byte for byte"
        f" ({shown(splits, pair)})"
        for pair in equal_across(splits)
    ]
    told += [
        f"{pair.split}: {len(pair.rows):,} photo(s) look like one of {pair.other}, in another file"
        f" ({shown(splits, pair)})"
        for pair in near
    ]
    for name, photos in splits.items():
        repeats = np.flatnonzero(_is_repeat(photos.contents))
        if len(repeats):
            listed = examples(str(photos.listing.refs[row]) for row in repeats[:4].tolist())
            told.append(
                f"{name}: {len(repeats):,} photo(s) stand there twice or more, byte for byte"
                f" ({listed})"
            )
    return told + _of_several_classes(splits, classes)


def shown(splits: Mapping[str, SplitContents], pair: Pair) -> str:
    """The first few photos of a pair, for a message."""
    rows = zip(pair.rows[:4].tolist(), pair.others[:4].tolist(), strict=True)
    mine, theirs = splits[pair.split].listing.refs, splits[pair.other].listing.refs
    return examples(f"{mine[row]} is {theirs[other]}" for row, other in rows)


def _of_several_classes(splits: Mapping[str, SplitContents], classes: Sequence[str]) -> list[str]:
    """A sentence on equal pictures of different classes; none where there are none."""
    contents = np.concatenate([photos.contents for photos in splits.values()])
    labels = np.concatenate([photos.listing.labels for photos in splits.values()])
    refs = np.concatenate([photos.listing.refs for photos in splits.values()])
    order = np.lexsort((labels, contents))
    order = order[contents[order] != b""]
    same = contents[order[1:]] == contents[order[:-1]]
    places = np.flatnonzero(same & (labels[order[1:]] != labels[order[:-1]]))
    if not len(places):
        return []
    pictures = len(np.unique(contents[order[places]]))
    listed = [
        f"{refs[one]} is {classes[labels[one]]}, {refs[other]} is {classes[labels[other]]}"
        for one, other in zip(order[places[:4]], order[places[:4] + 1], strict=True)
    ]
    return [
        f"{pictures:,} picture(s) are listed under two classes or more, byte for byte the same"
        f" ({examples(listed)}): one of them is wrong"
    ]


class _First:
    """The first row of each content."""

    def __init__(self, contents: NDArray[np.bytes_]) -> None:
        self._contents, self._rows = np.unique(contents, return_index=True)

    def row_of(self, contents: NDArray[np.bytes_]) -> Ints:
        """[n], the first row with each content; -1 where there is none."""
        if not len(self._contents):
            return np.full(len(contents), -1, np.int64)
        places = np.searchsorted(self._contents, contents)
        places = np.minimum(places, len(self._contents) - 1)
        same = (self._contents[places] == contents) & (contents != b"")
        return np.where(same, self._rows[places], -1).astype(np.int64)


def _is_repeat(contents: NDArray[np.bytes_]) -> NDArray[np.bool_]:
    """[n], whether the same content stands in an earlier row."""
    repeat = np.ones(len(contents), bool)
    repeat[np.unique(contents, return_index=True)[1]] = False
    repeat[contents == b""] = False
    return repeat
