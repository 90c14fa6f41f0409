"""Manifests on the disk: written whole or not at all, and made again when the folder changes."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discl.core.errors import DiskError, UserError
from discl.core.hashing import short
from discl.core.interfaces import Ints, Listing
from discl.core.plain_files import parsed_json, plain_bytes
from discl.core.seals import DamagedFileError
from discl.files.contents import digest_of_all
from discl.files.disk import atomic_write, clear_disk_errors, data_home
from discl.files.formats.arrow_memory import of_integers
from discl.files.sealed import AGAIN, mapped, seal, told
from discl.parts.datasets.manifest.boxes import ref_with_box
from discl.parts.datasets.manifest.columns import coded
from discl.parts.datasets.manifest.files.walk import EMPTY
from discl.parts.datasets.manifest.rows import Decision
from discl.parts.datasets.manifest.tree import FileTree, path_of

if TYPE_CHECKING:
    import pyarrow as pa

_DESCRIPTION = b"discl"  # key of the Parquet file's metadata
# a folder that was written so shortly before it was read may have been written once more after it,
# within the resolution of the file system's times
SETTLED_NS = 50_000_000
DAY_S = 24 * 3600

State = list[list[Any]]  # [path, size, time in ns] of each list and folder


@dataclass(frozen=True)
class Manifest:
    """Every photo of a dataset with its class, split and group, ordered by reference.

    `rows` has the columns of `rows.row_schema`, with a split and a label in every row.
    """

    rows: pa.Table
    layout: str  # the title of the layout that lists the photos
    names: tuple[str, ...]  # classes as folders or columns have them, in the order of their numbers
    decisions: tuple[Decision, ...] = ()
    remarks: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # references in `rows` that have no file
    pictures: str = ""  # a digest of the contents that the splits depend on; "" = on none

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups in alphabetical order, the order of their numbers."""
        import pyarrow.compute as pc

        return tuple(sorted(pc.unique(self.rows["group"].drop_null()).to_pylist()))

    @property
    def listings(self) -> dict[str, Listing]:
        """The listing of every split: train, val and test, then the others by name.

        A part of a photo has its box in its reference. A photo without a group has the number -1;
        where no photo has one, all have 0.
        """
        labels = _codes(self.rows["label"], self.names)
        groups = _codes(self.rows["group"], self.groups) if self.groups else np.zeros_like(labels)
        splits = coded(self.rows["split"])
        listings = {}
        for split in dict.fromkeys(["train", "val", "test", *sorted(splits.values)]):
            if split not in splits.values:
                continue
            rows = np.flatnonzero(splits.codes == splits.values.index(split))
            listings[split] = Listing(
                _refs(self.rows.take(of_integers(rows))), labels[rows], groups[rows]
            )
        return listings

    def described(self) -> dict[str, Any]:
        """Everything but the rows, as JSON."""
        return {
            "layout": self.layout,
            "names": list(self.names),
            "decisions": [list(decision) for decision in self.decisions],
            "remarks": list(self.remarks),
            "missing": list(self.missing),
            "pictures": self.pictures,
        }


def stored(
    root: Path,
    settings: Any,
    others: Sequence[Path],
    make: Callable[[FileTree], Manifest],
    pictures_of: Callable[[Manifest], str],
) -> Manifest:
    """The manifest of a folder, from the disk where nothing has changed, else of `make`.

    `settings` is all of JSON that its making depends on, beside the files: those below `root` and
    `others`, lists elsewhere. `pictures_of` gives what `Manifest.pictures` is now. Raises
    UserError where the folder changes while it is read.
    """
    folder = data_home() / "manifests" / short([_reader(), str(root.absolute()), settings])
    path = folder / "manifest.parquet"
    found = _read(path)
    if found is not None and found[1] == _state_now(root, [str(entry[0]) for entry in found[1]]):
        manifest = found[0]
        if not manifest.pictures or manifest.pictures == pictures_of(manifest):
            _note_use(path)
            return manifest
    began_ns = time.time_ns()
    tree = FileTree(root)
    state = _state_of(tree, others)
    manifest = make(tree)
    names = [str(entry[0]) for entry in state]
    if _state_now(root, names) != state:
        changed = _first_change(state, _state_now(root, names))
        raise UserError(
            f"{root / changed} changed while the photos were listed; run the same again when"
            f" nothing writes to {root}"
        )
    newest_ns = max(int(entry[2]) for entry in state)
    if newest_ns < began_ns - SETTLED_NS:
        _write(path, manifest, state)
    return manifest


def _note_use(path: Path) -> None:
    """Leave the day behind on which a manifest was read: `discl bank gc` takes old ones."""
    with suppress(OSError):  # it may only be read, or another process removes it
        if time.time() - path.stat().st_mtime > DAY_S:
            os.utime(path)


# -- what it was made of


@cache
def _reader() -> str:
    """A digest of the code that reads folders: other code may read the same folder otherwise."""
    packages = (Path(__file__).parent, Path(__file__).parent.parent / "base")
    files = sorted(path for package in packages for path in package.rglob("*.py"))
    return digest_of_all(plain_bytes(path) for path in files)


def _state_of(tree: FileTree, others: Iterable[Path]) -> State:
    folders = ["", *_folders_below(tree, "")]
    # what is filled in place changes no folder
    paths = [*folders, *tree.lists, *tree.left_out.get(EMPTY, ())]
    return _state_now(tree.root, [*map(path_of, paths), *map(str, others)])


def _folders_below(tree: FileTree, folder: str) -> Iterable[str]:
    for name in tree.folders(folder):
        inner = f"{folder}/{name}".lstrip("/")
        yield inner
        yield from _folders_below(tree, inner)


def _state_now(root: Path, paths: Iterable[str]) -> State:
    """Size and time of each list, time of each folder; -1 where there is none any more."""
    state: State = []
    for path in paths:
        try:
            status = os.stat(root / path)
        except OSError:
            state.append([path, -1, -1])
            continue
        is_folder = os.path.isdir(root / path)
        state.append([path, 0 if is_folder else status.st_size, status.st_mtime_ns])
    return state


def _first_change(before: State, after: State) -> str:
    return next(str(old[0]) for old, new in zip(before, after, strict=True) if old != new)


# -- the file


def _read(path: Path) -> tuple[Manifest, State] | None:
    """The manifest in a file with the state it was made of; None where it is damaged or missing."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.exists():
        return None
    try:
        # `read_table` would import pandas
        content = pa.py_buffer(mapped(path, path.name, AGAIN))
        with pq.ParquetFile(content, page_checksum_verification=True) as opened:
            table = opened.read()
        about = parsed_json(table.schema.metadata[_DESCRIPTION])
        manifest = Manifest(
            table.replace_schema_metadata(None),
            about["layout"],
            tuple(about["names"]),
            tuple(Decision(*decision) for decision in about["decisions"]),
            tuple(about["remarks"]),
            tuple(about["missing"]),
            str(about["pictures"]),
        )
        return manifest, about["state"]
    except DamagedFileError as error:
        told(error)
        return None
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        logging.getLogger(__name__).info("%s is made again: %s", path, error)
        return None


def _write(path: Path, manifest: Manifest, state: State) -> None:
    """Store a manifest; where the disk is full or read-only it is made again next time."""
    import pyarrow.parquet as pq

    about = json.dumps({**manifest.described(), "state": state})
    table = manifest.rows.replace_schema_metadata({_DESCRIPTION: about.encode("utf-8")})
    try:
        with clear_disk_errors("storing a manifest", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as tmp:
                pq.write_table(table, tmp, compression="zstd", write_page_checksum=True)
                seal(tmp, path.name)
    except DiskError as error:
        logging.getLogger(__name__).info("%s", error)


def _refs(rows: pa.Table) -> NDArray[np.str_]:
    """References of samples [n], with the box of a part of a photo."""
    refs = rows["ref"].to_pylist()
    if rows["box"].null_count < len(rows):
        boxes = rows["box"].to_pylist()
        refs = [
            ref_with_box(ref, box) if box else ref for ref, box in zip(refs, boxes, strict=True)
        ]
    return np.array(refs, np.str_)


def _codes(column: Any, names: tuple[str, ...]) -> Ints:
    """The place of each value among the names, [n]; -1 where there is none."""
    place = {name: number for number, name in enumerate(names)}
    values = coded(column)
    of_value = np.array([*(place.get(value, -1) for value in values.values), -1], np.int64)
    codes: Ints = of_value[values.codes]
    return codes
