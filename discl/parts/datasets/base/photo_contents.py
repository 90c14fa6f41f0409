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
from discl.files.contents import DIGITS, ContentDigests, Digests, digest_of_all

# files are looked at again in one process once that costs at most this share of its time
_SHARE_OF_LOOKING = 0.05


class Place(NamedTuple):
    """Where a photo lies, below the dataset's folder."""

    path: str
    column: str = ""  # of a table that may be written in any order; "" = records have fixed numbers
    row: int = -1  # -1 = the file is the photo


Cells = Callable[[str, str], Iterable[bytes | None]]  # (path, column) -> contents of all its rows


class SplitContents(NamedTuple):
    """The photos of a split, in the order of their ids, which is that of training."""

    ids: NDArray[np.str_]  # [n]; the reference, or for the row of a table its digest
    contents: Digests  # [n]
    listing: Listing  # in that order
    reading: Ints | None  # [n], the order in which they are read fastest; None = this one


class Look(NamedTuple):
    """The contents of all splits at one moment."""

    splits: dict[str, SplitContents]
    digest: str  # of the dataset
    listings: Mapping[str, Listing]  # that were looked at
    ended_s: float
    seconds: float

    def holds(self, listings: Mapping[str, Listing]) -> bool:
        """Whether it may still be taken for the present: looking again would cost too much."""
        age = time.monotonic() - self.ended_s
        return self.listings is listings and age * _SHARE_OF_LOOKING < self.seconds


def look(
    cache: ContentDigests,
    listings: Mapping[str, Listing],
    place: Callable[[str], Place],
    cells: Cells,
    names: Sequence[Sequence[str]],
    what: str,
    progress: Progress,
) -> Look:
    """The contents of the photos as they are now.

    `names` are those of classes and groups, which belong to the identity. Raises UserError for a
    file that changes while it is read.
    """
    began = time.monotonic()
    refs = np.concatenate([listing.refs for listing in listings.values()]).tolist()
    places = [place(ref) for ref in refs]
    contents = digests_of(cache, places, cells, what, progress)
    in_table = np.array([bool(of.column) for of in places], bool)
    ids = _ids(np.array(refs, np.str_), contents, in_table, listings)
    splits: dict[str, SplitContents] = {}
    start = 0
    for split, listing in listings.items():
        part = slice(start, start + len(listing.refs))
        start = part.stop
        order = np.asarray(_order(ids[part]))
        reading = np.argsort(order, kind="stable") if in_table[part].any() else None
        ordered = Listing(*(column[order] for column in listing))
        splits[split] = SplitContents(ids[part][order], contents[part][order], ordered, reading)
    digest = _digest(splits, names)
    ended = time.monotonic()
    return Look(splits, digest, listings, ended, ended - began)


def digests_of(
    cache: ContentDigests, places: Sequence[Place], cells: Cells, what: str, progress: Progress
) -> Digests:
    """Digests [n] of photos, in files of their own or in tables; empty where there is none."""
    digests = np.zeros(len(places), f"S{DIGITS}")
    alone = [i for i, place in enumerate(places) if place.row < 0]
    digests[alone] = cache.of_files([places[i].path for i in alone], what, progress)
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
    return digests


def _reader(cells: Cells, path: str, column: str) -> Callable[[], Iterable[bytes | None]]:
    return lambda: cells(path, column)


def _ids(
    refs: NDArray[np.str_],
    contents: Digests,
    in_table: NDArray[np.bool_],
    listings: Mapping[str, Listing],
) -> NDArray[np.str_]:
    """Names of photos [n] that do not depend on the order of a table's rows.

    Equal pictures in tables are numbered by split, label and group.
    """
    if not in_table.any():
        return refs
    rows = np.flatnonzero(in_table)
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
