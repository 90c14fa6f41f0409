"""Shards: many small blobs in one immutable file with an index of them.

Layout: the blobs, one after the other; a zlib-compressed JSON object {"columns": [...], "rows":
[[...], ...]}; its length as eight big-endian bytes; `MAGIC`. A catalogue of shards can therefore be
lost and made again from them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discl.core.plain_files import open_file, parsed_json
from discl.files.disk import atomic_write

MAGIC = b"DISCLSH2"
_FOOTER = struct.Struct(">Q8s")
_NAME = re.compile(r"[0-9a-f]{32}")


class BrokenShardError(Exception):
    """A shard that cannot be read, and why."""


def write(
    folder: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]], blobs: Sequence[bytes]
) -> str:
    """Publish a shard under the hash of its bytes; returns that name. Equal content is one file."""
    index = {"columns": list(columns), "rows": [list(row) for row in rows]}
    packed = zlib.compress(json.dumps(index, separators=(",", ":")).encode())
    body = b"".join([*blobs, packed, _FOOTER.pack(len(packed), MAGIC)])
    name = hashlib.sha256(body).hexdigest()[:32]
    with atomic_write(path_of(folder, name)) as tmp:
        tmp.write_bytes(body)
    return name


def path_of(folder: Path, name: str) -> Path:
    """The path of a shard.

    Raises BrokenShardError for a name that is no hash: it could lead out of the folder.
    """
    if not _NAME.fullmatch(name):
        raise BrokenShardError(f"{name!r} is no name of a shard")
    return folder / name


def names(folder: Path) -> list[str]:
    """Shards in a folder, sorted; other files are not looked at."""
    return sorted(entry.name for entry in os.scandir(folder) if _NAME.fullmatch(entry.name))


def read_index(folder: Path, name: str) -> tuple[list[str], list[list[Any]]]:
    """(columns, rows) of a shard, from its end; the blobs are not read.

    Raises BrokenShardError where the shard is missing or cut off.
    """
    try:
        with open_file(path_of(folder, name), "rb") as opened:
            end = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, end - _FOOTER.size))
            length, magic = _FOOTER.unpack(opened.read(_FOOTER.size))
            if magic != MAGIC or length > end - _FOOTER.size:
                raise BrokenShardError(f"shard {name} has lost its end")
            opened.seek(end - _FOOTER.size - length)
            index = parsed_json(zlib.decompress(opened.read(length)))
        return index["columns"], index["rows"]
    except OSError as error:
        raise BrokenShardError(f"shard {name} cannot be read ({error.strerror})") from error
    except (struct.error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise BrokenShardError(f"shard {name} has lost its end") from error


def read(folder: Path, name: str, offset: int, length: int, sha256: str) -> bytes:
    """One blob, compared with its SHA-256 (64 hex digits).

    Raises BrokenShardError where the shard cannot be read, or the blob is another one.
    """
    try:
        with open_file(path_of(folder, name), "rb") as opened:
            blob = os.pread(opened.fileno(), length, offset)
    except OSError as error:
        raise BrokenShardError(f"shard {name} cannot be read ({error.strerror})") from error
    if hashlib.sha256(blob).hexdigest() != sha256:
        raise BrokenShardError(f"shard {name} is damaged")
    return blob
