"""Hashes of content: equal values have equal hashes, on every machine and in every process."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

DIGITS = 12  # significant digits kept of a float, before hashing and before use
_line = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode


def canonical(value: Any) -> Any:
    """`value` as plain JSON types, floats rounded to 12 significant digits.

    Raises ValueError for a number that is not finite, and TypeError for a value JSON has no type
    for.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{value} has no identity: only finite numbers can be hashed")
        kept = rounded(value)
        return int(kept) if kept.is_integer() and abs(kept) < 2**53 else kept
    if isinstance(value, Mapping):
        return {str(key): canonical(value[key]) for key in value}
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no identity: {value!r}")


def rounded(value: float) -> float:
    """`value` with as many digits as a hash takes into account."""
    return float(f"{value:.{DIGITS}g}")


def canonical_json(value: Any) -> str:
    """One line of JSON that does not depend on key order or on rounding of floats."""
    return _line(canonical(value))


def digest(value: Any) -> str:
    """SHA-256 of the canonical JSON, 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def short(value: Any) -> str:
    """The first 16 hex digits of `digest`: an id, as of a run or a bank."""
    return digest(value)[:16]


def joined_json(values: Mapping[str, str]) -> str:
    """Canonical JSON of an object, from the canonical JSON of its values."""
    members = [f"{_key_json(key)}:{values[key]}" for key in sorted(values)]
    return f"{{{','.join(members)}}}"


@lru_cache(maxsize=1024)
def _key_json(key: str) -> str:
    return _line(key)


def short_of_json(line: str) -> str:
    """As `short`, of a value in canonical JSON."""
    return hashlib.sha256(line.encode()).hexdigest()[:16]


def seed_of(*words: Any) -> int:
    """A 63-bit seed that depends only on `words`, unlike Python's salted `hash`."""
    return int(digest(list(words))[:16], 16) >> 1
