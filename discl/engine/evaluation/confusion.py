"""What a run predicted, counted: enough to compute every metric again, in a hundredth of the bytes
of the logits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Floats, Ints

MOST_BYTES = 256 * 2**20  # an unpacked column may take; a result file is somebody else's
COLUMNS = 4  # group, truth, guess, photos


class Called(NamedTuple):
    """Photos of one split and what they were called, alike ones counted together."""

    split: str
    prefix: str  # of the metric names: "", "adjusted_", "wise_", "wise_adjusted_"
    groups: Ints | None  # [n]; None where the split has no groups
    truth: Ints  # [n]
    guess: Ints  # [n]
    photos: Ints  # [n], how many


Outcomes = dict[
    str, dict[str, str]
]  # split -> prefix -> packed counts, as a result file holds them


def count(split: str, prefix: str, groups: Ints | None, truth: Ints, guess: Ints) -> Called:
    """Count photos alike in group, truth and guess."""
    rows = np.stack([np.zeros_like(truth) if groups is None else groups, truth, guess], 1)
    alike, photos = np.unique(rows, axis=0, return_counts=True)
    return Called(
        split,
        prefix,
        None if groups is None else alike[:, 0],
        alike[:, 1],
        alike[:, 2],
        photos.astype(np.int64),
    )


def pack(called: Called) -> str:
    """Base64 of zlib of int32 [4, n]: group (-1 where there are none), truth, guess, photos."""
    groups = np.full_like(called.truth, -1) if called.groups is None else called.groups
    table = np.stack([groups, called.truth, called.guess, called.photos]).astype("<i4")
    return base64.b64encode(zlib.compress(table.tobytes(), 9)).decode()


def unpack(split: str, prefix: str, packed: str) -> Called:
    """What `pack` was given; refuses what it cannot have written."""
    try:
        unzip = zlib.decompressobj()
        plain = unzip.decompress(base64.b64decode(packed, validate=True), MOST_BYTES)
        if not unzip.eof or len(plain) % (4 * COLUMNS):
            raise ValueError("it is cut off")
    except (ValueError, binascii.Error, zlib.error) as error:
        raise UserError(f"the outcomes of {split} cannot be read ({error})") from error
    groups, truth, guess, photos = np.frombuffer(plain, "<i4").reshape(COLUMNS, -1).astype(np.int64)
    if len(photos) and (min(truth.min(), guess.min()) < 0 or photos.min() < 1):
        raise UserError(f"the outcomes of {split} cannot be right: a label or a count is negative")
    return Called(split, prefix, None if (groups == -1).all() else groups, truth, guess, photos)


def packed(found: Iterator[Called]) -> Outcomes:
    """As a result file holds them."""
    outcomes: Outcomes = {}
    for called in found:
        outcomes.setdefault(called.split, {})[called.prefix] = pack(called)
    return outcomes


def unpacked(outcomes: Mapping[str, Mapping[str, str]]) -> Iterator[Called]:
    """From a result file."""
    for split, prefixes in outcomes.items():
        for prefix, text in prefixes.items():
            yield unpack(split, prefix, text)


def digest_of(predictions: Mapping[str, Any]) -> str:
    """SHA-256 of saved predictions, whatever their order and compression; 64 hex digits."""
    found = hashlib.sha256()
    for name in sorted(predictions):
        column = np.ascontiguousarray(predictions[name])
        found.update(f"{name} {column.dtype.str} {column.shape}\n".encode())
        found.update(column.tobytes())
    return found.hexdigest()


def adjust(logits: Floats, counts: Ints) -> Floats:
    """Post-hoc logit adjustment (Menon et al. 2021, tau = 1).

    A class without a training photo has no prior to divide by and keeps its logit: dividing by a
    share of almost nothing would make it the most favoured of all, and no prediction turns to such
    a class here.
    """
    shares = np.where(counts > 0, counts / counts.sum(), 1.0)
    return np.asarray(logits - np.log(shares)[None, :].astype(np.float32), np.float32)


def outcomes_of(predictions: Mapping[str, Any], counts: Ints) -> Iterator[Called]:
    """Every split of saved predictions (`<split>/logits`, `<split>/labels` and, where there are
    several, `<split>/groups`) under every prefix: the run's own logits, those of interpolated
    weights where there are any, and both adjusted.
    """
    for name in [key.removesuffix("/logits") for key in predictions if key.endswith("/logits")]:
        truth = predictions[f"{name}/labels"]
        groups = predictions.get(f"{name}/groups")
        for prefix in ("", "wise_"):
            if (logits := predictions.get(f"{name}/{prefix}logits")) is not None:
                yield count(name, prefix, groups, truth, logits.argmax(1))
                yield count(
                    name, f"{prefix}adjusted_", groups, truth, adjust(logits, counts).argmax(1)
                )
