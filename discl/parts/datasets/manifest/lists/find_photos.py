"""Finds the photos that a list of millions of rows names, without a search for each."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.parts.datasets.manifest.columns import coded, some

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLES = 24  # names that are searched for in each round
_MOST_HEADS = 200  # pairs of folders that are learned


class Found(NamedTuple):
    """Where listed photos are."""

    refs: pa.Array  # [n] text; null = there is no such photo
    # (beginning of names as written, beginning of references), such as ("", "images/")
    heads: tuple[tuple[str, str], ...]

    def sentence(self) -> str:
        """How names become references; "" where they are references."""
        changed = [(old, new) for old, new in self.heads if old != new]
        return ", ".join(
            f"{new + '...' if new else 'the rest'} for {old + '...' if old else 'NAME'}"
            if old
            else f"{new}NAME for NAME"
            for old, new in changed[:3]
        ) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")


def find_photos(
    written: pa.Array | pa.ChunkedArray,
    known: Sequence[str] | pa.Array,
    folders: Sequence[str] = ("",),
    single: Callable[[str], str | None] | None = None,
) -> Found:
    """The references among the `known` ones that names [n], as written in a list, stand for.

    Names are looked for from each of the `folders`. Where they begin elsewhere, such as below a
    folder of images or on another disk, the beginning that is to be replaced is learned from a few
    of them and used for all, as long as two names do not become one photo. Backslashes count as
    slashes; names that differ in case or lack their ending are found where one photo fits. What is
    still missing is given to `single`, if that finds any of a sample.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = _tidied(written)
    refs = known if isinstance(known, pa.Array) else pa.array(known, pa.string())
    positions = np.full(len(names), -1, np.int64)
    taken = np.zeros(len(refs), bool)
    missing = np.flatnonzero(np.asarray(names.is_valid()))
    heads: list[tuple[str, str]] = []
    for key in (None, _without_case, _without_ending):
        if not missing.size or not len(refs):
            break
        wanted = _take(names, missing)
        search = (
            _Search(wanted, refs, taken)
            if key is None
            else _Search(key(wanted), _single(key(refs)), taken)
        )
        search.run(folders)
        positions[missing] = search.positions
        missing = missing[search.missing]
        heads += search.heads
    if single is not None and any(single(names[row].as_py()) for row in _sample(missing)):
        search = _Search(_take(names, missing), refs, taken)
        search.use_each(single)
        positions[missing] = search.positions
    found = pc.take(refs, pa.array(positions, mask=positions < 0))
    return Found(found, tuple(dict.fromkeys(heads)))


class _Search:
    """Which of the known photos each name is."""

    def __init__(self, names: pa.Array, known: pa.Array, taken: NDArray[np.bool_]) -> None:
        self.names = names
        self.known = known
        self.taken = taken  # known photos that are of a name
        self.positions = np.full(len(names), -1, np.int64)  # in `known`
        self.missing = np.arange(len(names))
        self.heads: list[tuple[str, str]] = []
        self.tried: set[tuple[str, str]] = set()

    def run(self, folders: Sequence[str]) -> None:
        """Look for the names from folders, then where others of them are."""
        import pyarrow.compute as pc

        sample = self.names.take(_sample(self.missing))
        for folder in dict.fromkeys(folders):
            new = f"{folder}/" if folder else ""
            tried = pc.binary_join_element_wise(new, sample, "")
            if pc.any(pc.is_in(self.known, tried)).as_py():  # far faster than all of them
                self.use("", new)
        while self.missing.size and len(self.heads) < _MOST_HEADS:
            if not any(self.use(*pair) for pair in self.learned()):
                break

    def use(self, old: str, new: str) -> int:
        """Replace the beginning of missing names; how many are found so."""
        import pyarrow.compute as pc

        self.tried.add((old, new))
        rows = self.missing
        names = _take(self.names, rows)
        if old:
            fits = np.asarray(pc.starts_with(names, old))
            rows, names = rows[fits], pc.utf8_slice_codeunits(names.filter(fits), len(old))
        refs = pc.binary_join_element_wise(new, names, "") if new else names
        count = self._place(rows, pc.index_in(refs, self.known))
        if count:
            self.heads.append((old, new))
        return count

    def use_each(self, single: Callable[[str], str | None]) -> None:
        """Ask for each missing name; what two names are is neither of them."""
        import pyarrow as pa
        import pyarrow.compute as pc

        distinct = self.names.unique()
        refs = _single(pa.array([single(name) for name in distinct.to_pylist()], pa.string()))
        places = _codes(pc.index_in(refs, self.known, skip_nulls=True))
        places[self.taken[places]] = -1
        self.positions = places[_codes(pc.index_in(self.names, distinct))]

    def learned(self) -> Iterator[tuple[str, str]]:
        """What to replace at the beginnings of names, by a sample of names and of photos."""
        for row in _sample(self.missing):
            pair = self._pair(self.names[row].as_py(), self.known, True)
            if pair is not None and pair not in self.tried:
                yield pair
        for row in _sample(np.flatnonzero(np.asarray(self.known.is_valid()) & ~self.taken)):
            pair = self._pair(self.known[row].as_py(), self.names, False)
            if pair is not None and pair not in self.tried:
                yield pair

    def _pair(self, path: str, pool: Any, is_name: bool) -> tuple[str, str] | None:
        """How a path begins, and the one of a pool that it fits best; None where several do."""
        others = _ending_in(pool, posixpath.basename(path))
        common = [_common_end(path, other) for other in others]
        best = max(common, default=0)
        tail = path[len(path) - best :].lstrip("/")
        if not tail or any(len(_ending_in(all, tail)) != 1 for all in (self.names, self.known)):
            return None
        other = others[common.index(best)]
        name, ref = (path, other) if is_name else (other, path)
        return name[: len(name) - best], ref[: len(ref) - best]

    def _place(self, rows: NDArray[np.int64], found: Any) -> int:
        """Note what is found, unless two different names would be one photo."""
        places = _codes(found)
        hit = places >= 0
        rows, places = rows[hit], places[hit]
        uses = np.bincount(places, minlength=len(self.known))
        photos = int((uses > 0).sum())
        if photos < len(places) and photos < len(self.names.take(rows).unique()):
            return 0
        if self.taken[uses > 0].any():
            return 0
        self.taken |= uses > 0
        self.positions[rows] = places
        self.missing = np.flatnonzero(self.positions < 0)
        return len(rows)


def _take(column: Any, rows: NDArray[np.int64]) -> Any:
    """Rows of a column, which are often all of them."""
    return column if len(rows) == len(column) else column.take(rows)


def _codes(found: Any) -> NDArray[np.int64]:
    """Positions [n] as numbers; -1 for none."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def _tidied(written: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Names without blanks around them, with slashes and without dots as folders."""
    import pyarrow as pa

    if isinstance(written, pa.ChunkedArray) and written.num_chunks == 1:
        return _tidied(written.chunk(0))
    if isinstance(written, pa.ChunkedArray):
        return pa.concat_arrays(
            [_tidied(chunk) for chunk in written.chunks] or [pa.nulls(0, pa.string())]
        )
    import pyarrow.compute as pc

    names = pc.utf8_trim_whitespace(written)
    if names.equals(written):
        names = written  # of millions, one copy less
    if pc.any(pc.match_substring(names, "\\")).as_py():
        names = pc.replace_substring(names, "\\", "/")
    dotted = pc.or_(pc.match_substring(names, "./"), pc.match_substring(names, "//"))
    if pc.any(dotted).as_py():
        dotted = pc.match_substring_regex(names, r"^\.\.?/|/\.\.?/|//")
        cleaned = [posixpath.normpath(name) for name in names.filter(dotted).to_pylist()]
        names = pc.replace_with_mask(names, dotted, pa.array(cleaned, pa.string()))
    return names


def _sample(rows: NDArray[np.int64]) -> list[int]:
    """A few rows, from all over."""
    return [int(row) for row in rows[:: max(1, len(rows) // _SAMPLES)][:_SAMPLES]]


def _ending_in(paths: Any, tail: str) -> list[str]:
    """The different ones of paths that are `tail`, or end in a folder and `tail`."""
    import pyarrow.compute as pc

    ends = pc.or_(pc.ends_with(paths, "/" + tail), pc.equal(paths, tail))
    found: list[str] = paths.filter(ends).unique().to_pylist()
    return found


def _common_end(name: str, ref: str) -> int:
    """Characters of the whole folders and the file name that two paths have in common."""
    length = 0
    for one, other in zip(reversed(name.split("/")), reversed(ref.split("/")), strict=False):
        if one != other:
            break
        length += len(one) + 1
    return min(length, len(name), len(ref))


def _single(keys: Any) -> Any:
    """Keys of photos; null where several photos have one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    counts = keys.value_counts()
    several = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.if_else(pc.is_in(keys, several), pa.scalar(None, pa.string()), keys)


def _without_case(refs: Any) -> Any:
    import pyarrow.compute as pc

    return pc.utf8_lower(pc.utf8_normalize(refs, "NFC"))


def _without_ending(refs: Any) -> Any:
    import pyarrow.compute as pc

    return pc.replace_substring_regex(_without_case(refs), r"\.[a-z0-9]{1,5}$", "")


def counts_of(labels: pa.ChunkedArray) -> str:
    """How many rows each label has, the most first: `lion 12, zebra 3`."""
    column = coded(labels)
    pairs = sorted(zip(column.values, column.counts, strict=True), key=lambda pair: -pair[1])
    told = [f"{name} {count:,}" for name, count in pairs]
    if unlabelled := int((column.codes < 0).sum()):
        told.append(f"unlabelled {unlabelled:,}")
    return some(told, most=8)
