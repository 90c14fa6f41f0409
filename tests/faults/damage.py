"""Damages files as disks and people do: the injector of the tests beside it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

PAGE = 4096


def flip_bit(path: Path, where: float = 0.5, bit: int = 6) -> None:
    """Turn one bit of the byte at the share `where` of the file."""
    data = bytearray(path.read_bytes())
    data[min(int(len(data) * where), len(data) - 1)] ^= 1 << bit
    path.write_bytes(data)


def zero_page(path: Path, where: float = 0.5) -> None:
    """Write zeros over a page of 4 kB, or over half of a file that is smaller."""
    data = bytearray(path.read_bytes())
    length = min(PAGE, max(1, len(data) // 2))
    start = min(int(len(data) * where), len(data) - length)
    data[start : start + length] = bytes(length)
    path.write_bytes(data)


def truncate(path: Path, kept: float = 0.6) -> None:
    """Keep only the first part of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])


def empty(path: Path) -> None:
    """Leave no byte of a file, as a power cut may."""
    path.write_bytes(b"")


def reshape(path: Path) -> None:
    """Put an array of fewer rows, or of another type, in the place of an array."""
    array = np.load(path)
    np.save(path, array[:-1])


def swap(path: Path, sibling: Path) -> None:
    """Let two files change places."""
    aside = path.with_name(path.name + ".aside")
    shutil.move(path, aside)
    shutil.move(sibling, path)
    shutil.move(aside, sibling)


# kinds of damage that need the file alone
KINDS: dict[str, Callable[[Path], None]] = {
    "a bit": flip_bit,
    "a bit near the end": lambda path: flip_bit(path, 0.97, 1),
    "a page of zeros": zero_page,
    "cut off": truncate,
    "empty": empty,
}
