"""Shards: many small blobs in one immutable file that also says what they are.

Layout: the blobs, one after the other; a zlib-compressed JSON object {"columns": [...], "rows":
[[...], ...]}; its length as eight big-endian bytes; `MAGIC`. So whatever indexes the shards can be
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

from discl.files.disk import publishing

MAGIC = b"DISCLSH2"
_TAIL = struct.Struct(">Q8s")
_NAME = re.compile(r"[0-9a-f]{32}")


class BrokenShardError(Exception):
    """A shard that cannot be read, and why."""


def write(
    folder: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]], blobs: Sequence[bytes]
) -> str:
    """Publish a shard under the hash of its bytes; returns that name. Equal content is one file."""
    about = zlib.compress(
        json.dumps(
            {"columns": list(columns), "rows": [list(row) for row in rows]}, separators=(",", ":")
        ).encode()
    )
    body = b"".join([*blobs, about, _TAIL.pack(len(about), MAGIC)])
    name = hashlib.sha256(body).hexdigest()[:32]
    with publishing(path_of(folder, name)) as half:
        half.write_bytes(body)
    return name


def path_of(folder: Path, name: str) -> Path:
    """Where a shard lies; a name that is no hash could lead out of the folder and is refused."""
    if not _NAME.fullmatch(name):
        raise BrokenShardError(f"{name!r} is no name of a shard")
    return folder / name


def names(folder: Path) -> list[str]:
    """Shards in a folder, sorted; whatever else lies there is not looked at."""
    return sorted(entry.name for entry in os.scandir(folder) if _NAME.fullmatch(entry.name))


def about(folder: Path, name: str) -> tuple[list[str], list[list[Any]]]:
    """(columns, rows) of a shard, from its end; the blobs are not read."""
    try:
        with path_of(folder, name).open("rb") as opened:
            end = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, end - _TAIL.size))
            length, magic = _TAIL.unpack(opened.read(_TAIL.size))
            if magic != MAGIC or length > end - _TAIL.size:
                raise BrokenShardError(f"shard {name} has lost its end")
            opened.seek(end - _TAIL.size - length)
            said = json.loads(zlib.decompress(opened.read(length)))
        return said["columns"], said["rows"]
    except OSError as error:
        raise BrokenShardError(f"shard {name} cannot be read ({error.strerror})") from error
    except (struct.error, zlib.error, ValueError, KeyError, TypeError) as error:
        raise BrokenShardError(f"shard {name} has lost its end") from error


def read(folder: Path, name: str, offset: int, length: int) -> bytes:
    """One blob."""
    try:
        with path_of(folder, name).open("rb") as opened:
            return os.pread(opened.fileno(), length, offset)
    except OSError as error:
        raise BrokenShardError(f"shard {name} cannot be read ({error.strerror})") from error
