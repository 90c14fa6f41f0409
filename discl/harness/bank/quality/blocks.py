"""Rows of large arrays in blocks of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

BLOCK = 2**22  # numbers in a block: 16 MB of float32


def blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of 0 .. count, each of so few rows that `width` numbers a row fit a block."""
    size = max(1, BLOCK // max(width, 1))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
