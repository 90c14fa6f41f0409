"""Photos in Parquet shards, found by the file name that each row's picture has."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import UserError
from discl.core.interfaces import Ints
from discl.files.disk import data_home, folder_lock, replaced_folder
from discl.files.parquet_rows import cell, leaves
from discl.files.sealed import save_array, whole_array

_VERSION = 1  # of the index
# what a name is without its folders, its ending and the synset that the Hub's copy of ImageNet
# writes behind it: n01440764_10026_n01440764.JPEG is the photo n01440764_10026
_NOT_OF_THE_NAME = r"^.*[/\\]|(_n\d{8})?\.[A-Za-z0-9]+$"


class _Names(NamedTuple):
    """Where each name is: mapped from the disk, sorted by name."""

    names: NDArray[np.bytes_]  # [n]
    places: NDArray[np.int32]  # [n, 2], shard and row


class ParquetPhotos:
    """Pictures of a column {bytes, path}, by the last part of `path` without its ending.

    The names of all rows are read once and kept, sorted, beside the caches; they are mapped and not
    loaded, so that they take no memory of each process.
    """

    def __init__(self, shards: Sequence[Path], column: str = "image") -> None:
        self.shards = tuple(shards)
        self.column = column
        self._names = _names_of(self.shards, column)

    def rows(self, refs: Sequence[str]) -> tuple[Ints, Ints]:
        """(number of the shard [n], row in it [n]) of photos by path or name; -1 = not there."""
        stems = [ref.rpartition("/")[2].rpartition(".")[0] or ref for ref in refs]
        wanted = np.array([stem.encode() for stem in stems], np.bytes_)
        names, places = self._names
        if not len(names):
            absent = np.full(len(refs), -1, np.int64)
            return absent, absent
        # of the same width, or all names would be copied
        at = np.searchsorted(names, wanted.astype(names.dtype)).clip(max=len(names) - 1)
        found = np.where((names[at] == wanted)[:, None], places[at], -1).astype(np.int64)
        return found[:, 0], found[:, 1]

    def read(self, ref: str) -> bytes:
        """The file of a photo; raises FileNotFoundError where there is none."""
        shard, row = (int(column[0]) for column in self.rows([ref]))
        if shard < 0:
            raise FileNotFoundError(2, "in no shard", ref)
        picture = cell(self.shards[shard], self.column, row)["bytes"]
        if not isinstance(picture, bytes):
            raise FileNotFoundError(2, f"row {row} of {self.shards[shard].name} has no bytes", ref)
        return picture


def pictures_of(shard: Path, column: str = "image") -> Iterator[bytes | None]:
    """The pictures of all rows of a shard, a row group in memory at a time."""
    for pictures in leaves(shard, f"{column}.bytes"):
        yield from pictures.to_pylist()


def _names_of(shards: Sequence[Path], column: str) -> _Names:
    stats = [(shard.name, shard.stat()) for shard in shards]
    state = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    digest = hashlib.sha256(repr((_VERSION, column, state)).encode()).hexdigest()[:16]
    folder = data_home() / "parquet_names" / digest
    found = _stored(folder)
    if found is not None:
        return found
    made = _read_names(shards, column)
    with folder_lock(folder.with_name(f"{digest}.lock")):
        found = _stored(folder)  # another process may have made them meanwhile
        if found is None:
            with replaced_folder(folder) as tmp:
                for name, array in zip(_Names._fields, made, strict=True):
                    save_array(tmp / f"{name}.npy", array, f"{digest} {name}")
            found = _stored(folder)
    return found or made


def _stored(folder: Path) -> _Names | None:
    """What was made before; None where there is nothing, or it is damaged."""
    names = whole_array(folder / "names.npy", f"{folder.name} names")
    if names is None:
        return None
    places = whole_array(folder / "places.npy", f"{folder.name} places", len(names), np.int32)
    return None if places is None else _Names(names, places)


def _read_names(shards: Sequence[Path], column: str) -> _Names:
    """Of a name that stands twice the first comes first."""
    parts = [_names(shard, column) for shard in shards]
    names = np.concatenate([np.zeros(0, "S1"), *parts])
    rows = [np.arange(len(part)) for part in parts]
    shard = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    places = np.stack([shard, np.concatenate([np.zeros(0, int), *rows])], 1).astype(np.int32)
    order = np.argsort(names, kind="stable")
    return _Names(names[order], places[order])


def _names(shard: Path, column: str) -> NDArray[np.bytes_]:
    import pyarrow.compute as pc

    parts = [np.zeros(0, "S1")]
    for paths in leaves(shard, f"{column}.path"):
        if paths.null_count:
            raise UserError(
                f"{shard}: {paths.null_count:,} pictures have no file name ({column}.path), by"
                " which the lists name photos; get the shards of the original dataset"
            )
        stems = pc.replace_substring_regex(paths, _NOT_OF_THE_NAME, "")
        parts.append(np.array([stem.encode() for stem in stems.to_pylist()], np.bytes_))
    return np.concatenate(parts)
