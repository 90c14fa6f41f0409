"""CIFAR-100 with a long tail: real photos of 32 px in 100 classes, thinned exponentially; the
published test set is untouched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints
from discl.files.photos import encode
from discl.files.sources import Archives, Remote
from discl.parts.datasets.base.long_tail import long_tail
from discl.parts.datasets.base.photo_files import Listed, Listing

CLASSES = (
    "apple",
    "aquarium_fish",
    "baby",
    "bear",
    "beaver",
    "bed",
    "bee",
    "beetle",
    "bicycle",
    "bottle",
    "bowl",
    "boy",
    "bridge",
    "bus",
    "butterfly",
    "camel",
    "can",
    "castle",
    "caterpillar",
    "cattle",
    "chair",
    "chimpanzee",
    "clock",
    "cloud",
    "cockroach",
    "couch",
    "crab",
    "crocodile",
    "cup",
    "dinosaur",
    "dolphin",
    "elephant",
    "flatfish",
    "forest",
    "fox",
    "girl",
    "hamster",
    "house",
    "kangaroo",
    "keyboard",
    "lamp",
    "lawn_mower",
    "leopard",
    "lion",
    "lizard",
    "lobster",
    "man",
    "maple_tree",
    "motorcycle",
    "mountain",
    "mouse",
    "mushroom",
    "oak_tree",
    "orange",
    "orchid",
    "otter",
    "palm_tree",
    "pear",
    "pickup_truck",
    "pine_tree",
    "plain",
    "plate",
    "poppy",
    "porcupine",
    "possum",
    "rabbit",
    "raccoon",
    "ray",
    "road",
    "rocket",
    "rose",
    "sea",
    "seal",
    "shark",
    "shrew",
    "skunk",
    "skyscraper",
    "snail",
    "snake",
    "spider",
    "squirrel",
    "streetcar",
    "sunflower",
    "sweet_pepper",
    "table",
    "tank",
    "telephone",
    "television",
    "tiger",
    "tractor",
    "train",
    "trout",
    "tulip",
    "turtle",
    "wardrobe",
    "whale",
    "willow_tree",
    "wolf",
    "woman",
    "worm",
)
_PUBLISHED = {"train.bin": 50_000, "test.bin": 10_000}  # photos
_EACH = 500  # training photos a class
_RECORD = 2 + 3072  # a coarse and a fine label byte; planes of red, green and blue


class Cifar100LT(Listed):
    """`largest` and `smallest` are the training photos of the first and the last class, exponential
    in between (Cao et al. 2019): 500 and 5 are imbalance 100, 500 and 10 are 50, 500 and 50 are 10.

    The training photos of a class are ordered by the hash of their pixels; the first `val` (at most
    a fifth) are val's, the next ones train's. So val takes photos that the thinning would have left
    out, but for the largest classes: imbalance 100 keeps 10,827 of the field's 10,847. `root` holds
    the binary release: train.bin, test.bin and fine_label_names.txt. A file with fewer whole
    records than published is taken for what it is, a part.
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
                Remote(
                    "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                    bytes=168_513_733,
                    md5="03b5dce01913d631647c71ecec9e9cb8",
                ),
            ),
        ),
    )

    def __init__(
        self,
        root: str = "",
        side: int = 32,
        largest: int = _EACH,
        smallest: int = 5,
        val: int = 20,
        most_unreadable: float = 0.001,
    ) -> None:
        super().__init__(root, side, most_unreadable)
        if not 1 <= smallest <= largest <= _EACH:
            raise UserError(
                f"dataset.largest = {largest} and smallest = {smallest}: needs 1 <= smallest <="
                f" largest <= {_EACH}"
            )
        if not 1 <= val <= _EACH // 5:
            raise UserError(f"dataset.val = {val}: takes 1 to {_EACH // 5} photos a class")
        self.largest, self.smallest, self.val = largest, smallest, val

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(name.replace("_", " ") for name in CLASSES)

    def prompts(self, label: int) -> tuple[str, ...]:
        return (f"a photo of {self.classes[label]}",)

    def remarks(self) -> Sequence[str]:
        found = {file: len(_records(self.place / file)) for file in _PUBLISHED}
        return [
            f"{file} holds {found[file]:,} of {count:,} published photos"
            for file, count in _PUBLISHED.items()
            if found[file] != count
        ]

    def holds(self, root: Path) -> bool:
        return (root / "train.bin").is_file() and (root / "test.bin").is_file()

    def listings(self, root: Path) -> Mapping[str, Listing]:
        _check_names(root / "fine_label_names.txt")
        train, test = _records(root / "train.bin"), _records(root / "test.bin")
        labels = train[:, 1].astype(np.int64)
        order = _in_hash_order(train)
        kept: dict[str, list[Ints]] = {"train": [], "val": []}
        for label, count in enumerate(long_tail(self.largest, self.smallest, len(CLASSES))):
            mine = order[labels[order] == label]
            val, rest = np.split(mine, [min(self.val, len(mine) // 5)])
            kept["val"].append(val)
            kept["train"].append(rest[:count])
        rows = {name: np.sort(np.concatenate(parts)) for name, parts in kept.items()}
        everything = np.arange(len(test))
        return {
            **{name: _listed("train.bin", mine, labels) for name, mine in rows.items()},
            "test": _listed("test.bin", everything, test[:, 1].astype(np.int64)),
        }

    def read(self, root: Path, ref: str) -> bytes:
        file, _, row = ref.partition("/")
        with (root / file).open("rb") as opened:
            opened.seek(int(row) * _RECORD + 2)
            planes = np.frombuffer(opened.read(3072), np.uint8)
        return encode(np.ascontiguousarray(planes.reshape(3, 32, 32).transpose(1, 2, 0)))

    def stamp(self, root: Path, ref: str) -> tuple[int, int]:
        return super().stamp(root, ref.partition("/")[0])

    def missing(self, root: Path, refs: NDArray[np.str_]) -> tuple[NDArray[np.bool_], int]:
        return np.zeros(len(refs), bool), 0  # their number follows from the size of the files


def _listed(file: str, rows: Ints, labels: Ints) -> Listing:
    refs = np.array([f"{file}/{row:05d}" for row in rows.tolist()], np.str_)
    return Listing(refs, labels[rows], np.zeros(len(rows), np.int64))


def _records(path: Path) -> NDArray[np.uint8]:
    """[n, 3074], a memory map."""
    size = path.stat().st_size
    if not size or size % _RECORD:
        raise UserError(
            f"{path} has {size:,} bytes, no multiple of a record's {_RECORD}: it is cut short;"
            " unpack the archive again"
        )
    return np.memmap(path, np.uint8, "r").reshape(-1, _RECORD)


def _in_hash_order(records: NDArray[np.uint8]) -> Ints:
    """Rows by the hash of their pixels, equal photos by their place."""
    return np.argsort(
        [hashlib.sha256(record[2:].tobytes()).digest() for record in records], kind="stable"
    )


def _check_names(path: Path) -> None:
    """The names must be CIFAR-100's in its order: the labels are bytes that say nothing themselves."""
    if path.is_file() and tuple(path.read_text("utf-8", "replace").split()) != CLASSES:
        raise UserError(
            f"{path} does not name CIFAR-100's hundred classes in their order; unpack the archive"
            " again"
        )
