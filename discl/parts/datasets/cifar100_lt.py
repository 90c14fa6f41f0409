"""CIFAR-100 with a long tail: 100 classes of 32 px, thinned exponentially, and its test set."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints, Listing
from discl.core.plain_files import open_file, plain, plain_text
from discl.files.disk import resource
from discl.files.sources import Archives, RemoteFile
from discl.parts.datasets.base.file_dataset import FileDataset
from discl.parts.datasets.base.known_photos import KnownPhotos
from discl.parts.datasets.base.long_tail import long_tail
from discl.parts.datasets.base.photo_contents import Place

_NAMES = "pkg://discl/assets/datasets/cifar100_names.json"
_PUBLISHED = {"train.bin": 50_000, "test.bin": 10_000}  # photos
_PER_CLASS = 500  # training photos
_RECORD = 2 + 3072  # a coarse and a fine label byte; planes of red, green and blue


class Cifar100LT(FileDataset):
    """CIFAR-100 (Krizhevsky 2009), thinned to a long tail (Cao et al. 2019).

    `largest` and `smallest` are the training photos of the first and the last class, exponential in
    between: 500 and 5 are imbalance 100, 500 and 10 are 50, 500 and 50 are 10. The training photos
    of a class are ordered by the hash of their pixels; the first `val` (at most a fifth) are val's,
    the next ones train's. So val takes photos that the thinning would have left out, except in the
    largest classes: imbalance 100 keeps 10,827 of the standard 10,847 photos. `root` holds the
    binary release: train.bin, test.bin and fine_label_names.txt. A file with fewer whole records
    than published is used as a part.
    """

    not_hashed = ("root", "most_unreadable")

    folder_name = "cifar100"
    layout = "train.bin, test.bin and fine_label_names.txt (cifar-100-binary)"
    licence = "none stated by its publisher"
    homepage = "https://www.cs.toronto.edu/~kriz/cifar.html"
    citation = "Krizhevsky: Learning Multiple Layers of Features from Tiny Images (2009)"
    sources = (
        Archives(
            "the University of Toronto",
            (
                RemoteFile(
                    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                    bytes=168_513_733,
                    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                    md5="03b5dce01913d631647c71ecec9e9cb8",
                ),
            ),
        ),
    )

    def __init__(
        self,
        root: str = "",
        side: int = 32,
        largest: int = _PER_CLASS,
        smallest: int = 5,
        val: int = 20,
        most_unreadable: float = 0.001,
    ) -> None:
        """Settings:

        `root`: folder with train.bin, test.bin and fine_label_names.txt; empty is fetched.
        `side`: pixels of the side of the square that networks see.
        `largest`: training photos of the first class.
        `smallest`: training photos of the last class; in between they fall exponentially.
        `val`: photos of each class that val takes, at most a fifth of the class.
        `most_unreadable`: share of listed photos that may be missing, and of photos that may be
            unreadable.
        """
        super().__init__(root, side, most_unreadable)
        if not 1 <= smallest <= largest <= _PER_CLASS:
            raise UserError(
                f"dataset.largest = {largest} and smallest = {smallest}: needs 1 <= smallest <="
                f" largest <= {_PER_CLASS}"
            )
        if not 1 <= val <= _PER_CLASS // 5:
            raise UserError(f"dataset.val = {val}: takes 1 to {_PER_CLASS // 5} photos a class")
        self.largest = largest
        self.smallest = smallest
        self.val = val

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(name.replace("_", " ") for name in label_names())

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {self.classes[label]}",)

    def remarks(self) -> Sequence[str]:
        counts = {file: len(_records(self.folder / file)) for file in _PUBLISHED}
        return [
            f"{file} holds {counts[file]:,} of {published:,} published photos"
            for file, published in _PUBLISHED.items()
            if counts[file] != published
        ]

    def known_photos(self) -> KnownPhotos:
        val = min(self.val, _PER_CLASS // 5)
        tail = long_tail(self.largest, self.smallest, len(self.classes))
        train = tuple(min(count, _PER_CLASS - val) for count in tail)
        splits = {"train": sum(train), "val": val * len(train), "test": _PUBLISHED["test.bin"]}
        return KnownPhotos(splits, len(train), train)

    def holds(self, root: Path) -> bool:
        return (root / "train.bin").is_file() and (root / "test.bin").is_file()

    def listings(self, root: Path) -> Mapping[str, Listing]:
        _check_names(root / "fine_label_names.txt")
        train = _records(root / "train.bin")
        test = _records(root / "test.bin")
        labels = train[:, 1].astype(np.int64)
        order = _in_hash_order(train)
        rows: dict[str, list[Ints]] = {"train": [], "val": []}
        for label, count in enumerate(long_tail(self.largest, self.smallest, len(self.classes))):
            of_class = order[labels[order] == label]
            val, rest = np.split(of_class, [min(self.val, len(of_class) // 5)])
            rows["val"].append(val)
            rows["train"].append(rest[:count])
        listings = {
            name: _listing("train.bin", np.sort(np.concatenate(parts)), labels)
            for name, parts in rows.items()
        }
        test_labels = test[:, 1].astype(np.int64)
        return {**listings, "test": _listing("test.bin", np.arange(len(test)), test_labels)}

    def read(self, root: Path, ref: str) -> bytes:
        file, _, row = ref.partition("/")
        with open_file(root / file, "rb") as opened:
            opened.seek(int(row) * _RECORD)
            return _as_picture(np.frombuffer(opened.read(_RECORD), np.uint8))

    def places(self, root: Path, refs: Sequence[str]) -> Sequence[Place]:
        parts = [ref.partition("/") for ref in refs]
        return [Place(file, row=int(row)) for file, _, row in parts]

    def cells(self, root: Path, path: str, column: str) -> Iterable[bytes | None]:
        return map(_as_picture, _records(root / path))

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        return np.zeros(len(refs), bool), 0  # listings follow from the sizes of the files


@cache
def label_names() -> tuple[str, ...]:
    """Names of the labels as fine_label_names.txt has them, with underscores."""
    return tuple(json.loads(resource(_NAMES).read_text("utf-8")))


def _listing(file: str, rows: Ints, labels: Ints) -> Listing:
    refs = np.array([f"{file}/{row:05d}" for row in rows.tolist()], np.str_)
    return Listing(refs, labels[rows], np.zeros(len(rows), np.int64))


def _as_picture(record: NDArray[np.uint8]) -> bytes:
    """The photo of a record [3074] as the bytes of a picture file."""
    pixels = np.ascontiguousarray(record[2:].reshape(3, 32, 32).transpose(1, 2, 0))
    return b"P6 32 32 255\n" + pixels.tobytes()


def _records(path: Path) -> NDArray[np.uint8]:
    """The records of a file, uint8 [n, 3074], as a memory map."""
    size = path.stat().st_size
    if not size or size % _RECORD:
        raise UserError(
            f"{path} has {size:,} bytes, no multiple of a record's {_RECORD}: it is cut short;"
            " unpack the archive again"
        )
    return np.memmap(plain(path), np.uint8, "r").reshape(-1, _RECORD)


def _in_hash_order(records: NDArray[np.uint8]) -> Ints:
    """Rows of `records` [n, 3074] by the hash of their pixels; equal photos keep their order."""
    hashes = [hashlib.sha256(record[2:].tobytes()).digest() for record in records]
    return np.argsort(hashes, kind="stable")


def _check_names(path: Path) -> None:
    """Raise UserError where the file does not have CIFAR-100's names in the order of labels."""
    if path.is_file() and tuple(plain_text(path, errors="replace").split()) != label_names():
        raise UserError(
            f"{path} does not name CIFAR-100's hundred classes in their order; unpack the archive"
            " again"
        )
