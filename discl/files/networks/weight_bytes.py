"""How much memory the weights in a folder take, from the headers of their files."""

from __future__ import annotations

import math
import struct
from pathlib import Path

from discl.core.plain_files import open_file, parsed_json

_LENGTH = struct.Struct("<Q")
_LONGEST = 100_000_000  # bytes of a header, which safetensors itself allows


def weight_bytes(folder: Path, itemsize: int) -> int:
    """Bytes of all tensors of a folder's safetensors files at `itemsize` bytes a number.

    Files that cannot be read count nothing: whoever loads them tells what is wrong.
    """
    return itemsize * sum(_numbers(path) for path in folder.glob("**/*.safetensors"))


def _numbers(path: Path) -> int:
    try:
        with open_file(path, "rb") as opened:
            (length,) = _LENGTH.unpack(opened.read(_LENGTH.size))
            header = parsed_json(opened.read(min(length, _LONGEST)))
        return sum(
            math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
        )
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError):
        return 0
