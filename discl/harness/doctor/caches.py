"""Every kind of cache that is stored, and what compares it with its seal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from discl.core.plain_files import plain
from discl.core.seals import damaged, is_sealed, read_sealed
from discl.files import sealed
from discl.files.disk import data_home, home
from discl.harness.hard.out_of_fold import TABLE, read_table

# files of a folder of decoded photos, which have no suffix
_DECODED = ("pixels", "small", "contents")


class CacheKind(NamedTuple):
    """Files that the harness made from others and can make again."""

    name: str
    files: Callable[[], Iterator[Path]]
    # raises DamagedFileError, which ends with the way out; False for one without a seal
    check: Callable[[Path, str], bool]


def kinds() -> tuple[CacheKind, ...]:
    """Of each kind where its files lie, and how they are checked."""
    return (
        CacheKind("maps of levels and embeddings", _in(home, "banks/*/cache/*.npy"), _array),
        CacheKind("accuracies of the gap", _in(home, "banks/*/cache/*.json"), _json),
        CacheKind("features", _in(home, "features/**/*.npy"), _array),
        CacheKind("predictions of out-of-fold models", _in(home, "hard/*/*.npz"), sealed.recheck),
        CacheKind("tables of hard photos", _in(home, f"hard/*/{TABLE}"), _table),
        CacheKind("paces of this machine", _in(home, "paces.json"), _json),
        CacheKind("manifests", _in(data_home, "manifests/*/*.parquet"), sealed.recheck),
        CacheKind("digests of photos", _in(data_home, "contents/*/digests.arrow"), sealed.recheck),
        CacheKind("equal photos", _in(data_home, "alike/*.json"), _json),
        CacheKind("decoded photos", _decoded, sealed.recheck),
        CacheKind("what was decoded", _in(data_home, "decoded/**/done.json"), _json),
        CacheKind("arrays of photos", _in(data_home, "**/*.npy"), _array),
    )


def _in(root: Callable[[], Path], pattern: str) -> Callable[[], Iterator[Path]]:
    return lambda: (path for path in sorted(root().glob(pattern)) if path.is_file())


def _decoded() -> Iterator[Path]:
    for done in sorted(data_home().glob("decoded/**/done.json")):
        yield from (path for name in _DECODED if (path := done.parent / name).is_file())


def _array(path: Path, way_out: str) -> bool:
    has_seal = sealed.recheck(path, way_out)
    if not has_seal:
        sealed.load_array(path, way_out)
    return has_seal


def _json(path: Path, way_out: str) -> bool:
    read_sealed(path, way_out)
    return is_sealed(path)


def _table(path: Path, way_out: str) -> bool:
    return read_table(path, way_out).is_sealed


def check_studies(path: Path) -> None:
    """Read a SQLite file of studies; raises DamagedFileError where a page of it is torn."""
    way_out = "get it back from a copy, or move it away and begin the studies anew"
    try:
        address = f"{plain(path).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True)) as opened:
            rows = opened.execute("PRAGMA integrity_check(1)").fetchall()
    except (OSError, sqlite3.Error) as error:
        raise damaged(path, f"cannot be read ({error})", way_out) from error
    if rows != [("ok",)]:
        raise damaged(path, f"is damaged ({rows[0][0]})", way_out)
