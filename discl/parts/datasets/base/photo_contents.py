"""The contents of a dataset's photos: their digests, the ids and the identity that follow."""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.core.interfaces import Ints, Listing, Progress
from discl.files.contents import (
    DIGITS,
    FEW,
    SECONDS_PER_FILE,
    ContentDigests,
    Digests,
    FileContents,
    digest_of,
    digest_of_all,
)


class Place(NamedTuple):
    """Where a photo lies, below the dataset's folder."""

    path: str
    column: str = ""  # of a table
    row: int = -1  # of a table, or of records in a file; -1 = the file is the photo
    named: bool = True  # False = the reference is no name but a row's number, which may change
    part: str = ""  # of the photo, such as a box; "" = all of it


Cells = Callable[[str, str], Iterable[bytes | None]]  # (path, column) -> contents of all its rows


class SplitContents(NamedTuple):
    """The photos of a split, in the order of their ids, which is that of training."""

    ids: NDArray[np.str_]  # [n]; the reference, or for the row of a table its digest
    contents: Digests  # [n]
    listing: Listing  # in that order
    stamps: NDArray[np.int64]  # [n, 4], of the files they lie in; see `files.contents.FileContents`
    reading: Ints | None  # [n], the order in which they are read fastest; None = this one


class Look(NamedTuple):
    """The contents of all splits at one moment."""

    splits: dict[str, SplitContents]
    digest: str  # of the dataset
    listings: Mapping[str, Listing]  # that were looked at
    ended_s: float

    def holds(self, listings: Mapping[str, Listing]) -> bool:
        """Whether it may still be taken for the present."""
        photos = sum(len(split.ids) for split in self.splits.values())
        age_s = time.monotonic() - self.ended_s
        return self.listings is listings and photos > FEW and age_s < photos * SECONDS_PER_FILE


def look(
    cache: ContentDigests,
    listings: Mapping[str, Listing],
    places: Callable[[Sequence[str]], Sequence[Place]],
    cells: Cells,
    names: Sequence[Sequence[str]],
    what: str,
    progress: Progress,
) -> Look:
    """The contents of the photos as they are now.

    `names` are those of classes and groups, which belong to the identity. Raises UserError for a
    file that changes while it is read.
    """
    refs = np.concatenate([listing.refs for listing in listings.values()]).tolist()
    placed = places(refs)
    contents, stamps = _contents_of(cache, placed, cells, what, progress)
    for row in np.flatnonzero([bool(place.part) for place in placed]).tolist():
        contents[row] = digest_of_part(bytes(contents[row]), placed[row].part)
    ids = _ids(np.array(refs, np.str_), contents, placed, listings)
    splits: dict[str, SplitContents] = {}
    start = 0
    for split, listing in listings.items():
        part = slice(start, start + len(listing.refs))
        start = part.stop
        order = np.asarray(_order(ids[part]))
        reading = _reading([placed[part.start + row] for row in order.tolist()])
        ordered = Listing(listing.refs[order], listing.labels[order], listing.groups[order])
        splits[split] = SplitContents(
            ids[part][order], contents[part][order], ordered, stamps[part][order], reading
        )
    return Look(splits, _digest(splits, names), listings, time.monotonic())


def digests_of(
    cache: ContentDigests, places: Sequence[Place], cells: Cells, what: str, progress: Progress
) -> Digests:
    """Digests [n] of photos, in files of their own or in tables; empty where there is none."""
    return _contents_of(cache, places, cells, what, progress).digests


def _contents_of(
    cache: ContentDigests, places: Sequence[Place], cells: Cells, what: str, progress: Progress
) -> FileContents:
    stamps = np.full((len(places), 4), -3, np.int64)  # photos in tables are compared by digest
    digests = np.zeros(len(places), f"S{DIGITS}")
    alone = [i for i, place in enumerate(places) if place.row < 0]
    digests[alone], stamps[alone] = cache.files([places[i].path for i in alone], what, progress)
    tables: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, place in enumerate(places):
        if place.row >= 0:
            tables[place.path, place.column].append(i)
    if tables:
        readers = {key: _reader(cells, *key) for key in tables}
        for key, of_rows in cache.of_tables(readers, what, progress).items():
            rows = np.array([places[i].row for i in tables[key]])
            there = rows < len(of_rows)
            digests[np.array(tables[key])[there]] = of_rows[rows[there]]
    return FileContents(digests, stamps)


def digest_of_part(digest: bytes, part: str) -> bytes:
    """The digest of a part of a photo, given that of its file."""
    return digest_of(digest + part.encode()) if digest and part else digest


def _reader(cells: Cells, path: str, column: str) -> Callable[[], Iterable[bytes | None]]:
    return lambda: cells(path, column)


def _ids(
    refs: NDArray[np.str_],
    contents: Digests,
    places: Sequence[Place],
    listings: Mapping[str, Listing],
) -> NDArray[np.str_]:
    """Names of photos [n] that do not depend on the order of a table's rows.

    Rows without a name have the digest of their picture; equal ones are numbered by split, label
    and group.
    """
    rows = np.flatnonzero([not place.named for place in places])
    if not len(rows):
        return refs
    split = np.repeat(
        np.arange(len(listings)), [len(listing.refs) for listing in listings.values()]
    )
    labels = np.concatenate([listing.labels for listing in listings.values()])
    groups = np.concatenate([listing.groups for listing in listings.values()])
    order = rows[np.lexsort((groups[rows], labels[rows], split[rows], contents[rows]))]
    ordered = contents[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    number = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    ids = refs.astype(object)
    for row, digest, repeat in zip(order.tolist(), ordered.tolist(), number.tolist(), strict=True):
        ids[row] = digest.decode() + (f"#{repeat}" if repeat else "")
    return ids.astype(np.str_)


def _reading(places: Sequence[Place]) -> Ints | None:
    """The order in which photos are read fastest, [n]; None = as they stand."""
    if all(place.row < 0 for place in places):
        return None
    order = sorted(range(len(places)), key=lambda row: places[row][:3])
    return np.array(order, np.int64)


def _order(ids: NDArray[np.str_]) -> Ints:
    """The order of ids; nothing is to be done where they stand in it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if (ids[:-1] <= ids[1:]).all():
        return np.arange(len(ids))
    order: Ints = pc.sort_indices(pa.array(ids.tolist(), pa.string())).to_numpy().astype(np.int64)
    return order


def _digest(splits: Mapping[str, SplitContents], names: Sequence[Sequence[str]]) -> str:
    """A hash of names and of every photo's split, id, label, group and content, in any order."""
    parts: list[bytes | str] = [digest_of_all(some) for some in names]
    for split, photos in sorted(splits.items()):
        rows = hashlib.sha256("\n".join(photos.ids.tolist()).encode())
        rows.update(photos.listing.labels.tobytes())
        rows.update(photos.listing.groups.tobytes())
        rows.update(photos.contents.tobytes())
        parts += [split, rows.digest()]
    return digest_of_all(parts)
