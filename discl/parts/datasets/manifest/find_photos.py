"""Finds the photos that a list of millions of rows names, without a search for each."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discl.parts.datasets.manifest.columns import coded, some

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLES = 48  # names that are searched for in each round
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
    listed = np.asarray(names.is_valid())
    heads: list[tuple[str, str]] = []
    for key in (_as_written, _without_case, _without_ending):
        missing = np.flatnonzero((positions < 0) & listed)
        if missing.size and len(refs):
            search = _Search(
                key(names.take(missing)), _single(key(refs)), positions[positions >= 0]
            )
            search.run(folders)
            positions[missing] = search.positions
            heads += search.heads
    missing = np.flatnonzero((positions < 0) & listed)
    if single is not None and any(single(names[row].as_py()) for row in _sample(missing)):
        search = _Search(names.take(missing), refs, positions[positions >= 0])
        search.use_each(single)
        positions[missing] = search.positions
    found = pc.take(refs, pa.array(positions, mask=positions < 0))
    return Found(found, tuple(dict.fromkeys(heads)))


class _Search:
    """Which of the known photos each name is."""

    def __init__(self, names: pa.Array, known: pa.Array, used: NDArray[np.int64]) -> None:
        self.names = names
        self.known = known
        self.used = used  # photos of other names
        self.positions = np.full(len(names), -1, np.int64)  # in `known`
        self.missing = np.arange(len(names))
        self.heads: list[tuple[str, str]] = []
        self.tried: set[tuple[str, str]] = set()

    def run(self, folders: Sequence[str]) -> None:
        """Look for the names from folders, then where others of them are."""
        for folder in dict.fromkeys(folders):
            self.use("", f"{folder}/" if folder else "")
        while self.missing.size and len(self.heads) < _MOST_HEADS:
            if not sum(self.use(*pair) for pair in self.learned()):
                break

    def use(self, old: str, new: str) -> int:
        """Replace the beginning of missing names; how many are found so."""
        import pyarrow.compute as pc

        self.tried.add((old, new))
        rows = self.missing
        names = self.names.take(rows)
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
        refs = pa.array([single(name) for name in distinct.to_pylist()], pa.string())
        several = refs.value_counts()
        taken = several.field("values").filter(pc.greater(several.field("counts"), 1))
        refs = pc.if_else(pc.is_in(refs, taken), pa.scalar(None, pa.string()), refs)
        places = _codes(pc.index_in(refs, self.known, skip_nulls=True))
        places[np.isin(places, self.used)] = -1
        self.positions = places[_codes(pc.index_in(self.names, distinct))]

    def learned(self) -> list[tuple[str, str]]:
        """What to replace at the beginnings of names, by a sample of names and of photos."""
        taken = [self.used, self.positions[self.positions >= 0]]
        unused = np.setdiff1d(np.flatnonzero(self.known.is_valid()), np.concatenate(taken))
        pairs = [
            *(
                self._pair(self.names[row].as_py(), self.known, True)
                for row in _sample(self.missing)
            ),
            *(self._pair(self.known[row].as_py(), self.names, False) for row in _sample(unused)),
        ]
        new = {pair for pair in pairs if pair is not None} - self.tried
        return sorted(new, key=lambda pair: (len(pair[0]), pair))

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
        photos = np.unique(places)
        if len(photos) < len(places) and len(photos) < len(self.names.take(rows).unique()):
            return 0
        if np.isin(photos, np.concatenate([self.used, self.positions])).any():
            return 0
        self.positions[rows] = places
        self.missing = np.flatnonzero(self.positions < 0)
        return len(rows)


def _codes(found: Any) -> NDArray[np.int64]:
    """Positions [n] as numbers; -1 for none."""
    import pyarrow.compute as pc

    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def _tidied(written: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    names = written.combine_chunks() if isinstance(written, pa.ChunkedArray) else written
    names = pc.utf8_trim_whitespace(names)
    if pc.any(pc.match_substring(names, "\\")).as_py():
        names = pc.replace_substring(names, "\\", "/")
    odd = pc.match_substring_regex(names, r"^\.\.?/|/\.\.?/|//")
    if pc.any(odd).as_py():
        cleaned = [
            posixpath.normpath(name) if name else name for name in names.filter(odd).to_pylist()
        ]
        names = pc.replace_with_mask(names, odd, pa.array(cleaned, pa.string()))
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


def _as_written(refs: Any) -> Any:
    return refs


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
