"""Confusion counts: predictions counted by group, true label and predicted label.

They are enough to compute every metric again, in a hundredth of the bytes of the logits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import NO_GROUP, Floats, Ints
from discl.core.renamed_splits import as_hashed

MAX_UNPACKED_BYTES = 256 * 2**20  # of one split; result files may come from other people
COLUMNS = 4  # group, truth, guess, photos


class ConfusionCounts(NamedTuple):
    """Photos of one split, those with equal group, true label and predicted label counted once."""

    split: str
    prefix: str  # of the metric names: "", "adjusted_", "wise_", "wise_adjusted_"
    groups: Ints | None  # [n], NO_GROUP where a photo has none; None where the split has none
    truth: Ints  # [n]
    guess: Ints  # [n], the predicted label
    photos: Ints  # [n], number of photos


def has_several_groups(groups: Ints) -> bool:
    """Whether there is more than one group among `groups` [n], beside photos without one."""
    return len(np.unique(groups[groups != NO_GROUP])) > 1


PackedCounts = dict[str, dict[str, str]]  # split -> prefix -> packed counts, as in a result file


def count(
    split: str, prefix: str, groups: Ints | None, truth: Ints, guess: Ints
) -> ConfusionCounts:
    """Count the photos of a split by group, true label and predicted label, each [photos]."""
    keys = np.stack([np.zeros_like(truth) if groups is None else groups, truth, guess], 1)
    distinct, photos = np.unique(keys, axis=0, return_counts=True)
    return ConfusionCounts(
        split,
        prefix,
        None if groups is None else distinct[:, 0],
        distinct[:, 1],
        distinct[:, 2],
        photos.astype(np.int64),
    )


def pack(confusion: ConfusionCounts) -> str:
    """Base64 of zlib of int32 [4, n]: group (-1 where there is none), truth, guess, photos."""
    no_group = np.full_like(confusion.truth, NO_GROUP)
    groups = no_group if confusion.groups is None else confusion.groups
    table = np.stack([groups, confusion.truth, confusion.guess, confusion.photos]).astype("<i4")
    return base64.b64encode(zlib.compress(table.tobytes(), 9)).decode()


def unpack(split: str, prefix: str, text: str) -> ConfusionCounts:
    """The inverse of `pack`.

    Raises UserError where the text is cut off, not base64 of zlib, or holds a negative label or a
    count below one.
    """
    try:
        decompressor = zlib.decompressobj()
        table = decompressor.decompress(base64.b64decode(text, validate=True), MAX_UNPACKED_BYTES)
        if not decompressor.eof or len(table) % (4 * COLUMNS):
            raise UserError(f"the confusion counts of {split} cannot be read (they are cut off)")
    except (ValueError, binascii.Error, zlib.error) as error:
        raise UserError(f"the confusion counts of {split} cannot be read ({error})") from error
    columns = np.frombuffer(table, "<i4").reshape(COLUMNS, -1).astype(np.int64)
    groups, truth, guess, photos = columns
    if len(photos) and (min(truth.min(), guess.min()) < 0 or photos.min() < 1):
        raise UserError(
            f"the confusion counts of {split} are wrong: a label or a count is negative"
        )
    has_groups = not (groups == NO_GROUP).all()
    return ConfusionCounts(split, prefix, groups if has_groups else None, truth, guess, photos)


def pack_all(confusions: Iterable[ConfusionCounts]) -> PackedCounts:
    """All counts as a result file holds them."""
    packed: PackedCounts = {}
    for confusion in confusions:
        packed.setdefault(confusion.split, {})[confusion.prefix] = pack(confusion)
    return packed


def unpack_all(packed: Mapping[str, Mapping[str, str]]) -> Iterator[ConfusionCounts]:
    """All counts of a result file; raises UserError like `unpack`."""
    for split, texts in packed.items():
        for prefix, text in texts.items():
            yield unpack(split, prefix, text)


def predictions_digest(predictions: Mapping[str, Any]) -> str:
    """SHA-256 of saved predictions, whatever their order and compression; 64 hex digits."""
    digest = hashlib.sha256()
    hashed = as_hashed(predictions)
    for name in sorted(hashed):
        column = np.ascontiguousarray(hashed[name])
        digest.update(f"{name} {column.dtype.str} {column.shape}\n".encode())
        digest.update(column.tobytes())
    return digest.hexdigest()


def adjust(logits: Floats, counts: Ints) -> Floats:
    """Post-hoc logit adjustment (Menon et al. 2021, tau = 1) of logits [n, c] by counts [c].

    A class without a training photo has no prior to divide by and keeps its logit: dividing by a
    share of almost nothing would make it the most favoured of all, and no prediction turns to such
    a class here.
    """
    shares = np.where(counts > 0, counts / counts.sum(), 1.0)
    return np.asarray(logits - np.log(shares)[None, :].astype(np.float32), np.float32)


def count_predictions(
    predictions: Mapping[str, Any], counts: Ints, adjusted: bool = True
) -> Iterator[ConfusionCounts]:
    """Confusion counts of every split of saved predictions, under every prefix.

    `predictions` holds `<split>/logits` [n, c], `<split>/labels` [n] and, where there are several,
    `<split>/groups` [n]; `counts` [c] are the real training photos per class. The prefixes are
    those of the run's own logits, of interpolated weights where there are any, and of both with
    adjusted logits; `adjusted` = False leaves these out, where training has corrected the prior
    already.
    """
    for name in [key.removesuffix("/logits") for key in predictions if key.endswith("/logits")]:
        truth = predictions[f"{name}/labels"]
        groups = predictions.get(f"{name}/groups")
        for prefix in ("", "wise_"):
            logits = predictions.get(f"{name}/{prefix}logits")
            if logits is None:
                continue
            yield count(name, prefix, groups, truth, logits.argmax(1))
            if adjusted:
                guess = adjust(logits, counts).argmax(1)
                yield count(name, f"{prefix}adjusted_", groups, truth, guess)
