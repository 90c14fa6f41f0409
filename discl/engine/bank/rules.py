"""The rules for images of a bank: the same for those that are imported and those that are there."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from discl.core.errors import UserError
from discl.core.levels import PHOTO, Counting, denoising_steps
from discl.engine.bank.catalogue import FAILED, MADE, Cell, ImageRecord
from discl.engine.bank.generate import SourceImages, key_of, request_of
from discl.files.photos import decode

MOST_PIXELS = 1 << 25  # of an image; a generator makes a sixteenth of it
MOST_LETTERS = 100_000  # of a text
_COSINE = 1.0001  # the largest, with what 16-bit embeddings are off
_BIGGEST = 2**63 - 1
_HEAD = struct.Struct(
    "<4sI4s4sIBI"
)  # of lossless WebP: "RIFF", size, "WEBP", "VP8L", size, 47, bits
_SCORES = ("text_score", "photo_score")
_TYPES: dict[Any, type | tuple[type, ...]] = {str: str, int: int, float | None: (int, float)}
_COLUMNS = {name: _TYPES[kind] for name, kind in get_type_hints(ImageRecord).items()}


@dataclass
class ImageRules:
    """What every image of the bank `bank` fulfils, and every cell that could not be made.

    With `sources` and `counting`, how the generator counts levels, what is known of an image is
    compared with what the generator would be asked for. `size` is the (height, width) of all
    images; None = not known before the images are seen.
    """

    bank: str
    sources: SourceImages | None = None
    counting: Counting | None = None
    size: tuple[int, int] | None = None
    _sizes: dict[tuple[int, int], list[Cell]] = field(default_factory=dict)

    def fault(self, record: ImageRecord, data: bytes) -> str:
        """What is wrong with an image's record or bytes; "" where nothing is.

        The bytes are decoded, and before that their header says how large they will be.
        """
        return (
            self.record_fault(record)
            or _bytes_fault(record, data)
            or self._image_fault(record, data)
        )

    def record_fault(self, record: ImageRecord) -> str:
        """What is wrong with a record alone; "" where nothing is."""
        for name, kind in _COLUMNS.items():
            value = getattr(record, name)
            if not (value is None and name in _SCORES) and not _fits(value, kind):
                return f"its {name} is {_brief(value)}"
        for name in _SCORES:
            score = getattr(record, name)
            if score is not None and not (math.isfinite(score) and abs(score) <= _COSINE):
                return f"its {name} is {score}, which is no cosine"
        if not 0 <= record.level < PHOTO:
            return f"its level is {record.level}, and no level from 0 to {PHOTO - 1}"
        for name in ("variant", "label", "seed", "denoising_steps", "offset", "length"):
            if getattr(record, name) < 0:
                return f"its {name} is {getattr(record, name)}"
        if record.status not in (MADE, FAILED):
            return f"its status is {_brief(record.status)}"
        if record.key != key_of(self.bank, record.cell):
            return "its key is not that of this image in this bank"
        return self._request_fault(record)

    def _request_fault(self, record: ImageRecord) -> str:
        """Where a record differs from what the generator would be asked for."""
        if self.sources is None or self.counting is None:
            return ""
        position = self.sources.position.get(record.source)
        if position is None:
            return "its photo is none that images are made from"
        request = request_of(self.bank, record.cell, self.sources.choices(position))
        wanted: dict[str, Any] = {
            "label": int(self.sources.labels[position]),
            "prompt": request.prompt,
            "caption": self.sources.caption_of(position, request.prompt),
            "seed": request.seed,
        }
        try:
            wanted["denoising_steps"] = denoising_steps(record.level, self.counting)
        except UserError:
            return f"its level is {record.level}, which the generator has no start for"
        for name, value in wanted.items():
            if getattr(record, name) != value:
                return f"its {name} is {_brief(getattr(record, name))} instead of {_brief(value)}"
        return ""

    def _image_fault(self, record: ImageRecord, data: bytes) -> str:
        if record.status != MADE:
            return ""
        size = _claimed_size(data)
        if size is None:
            return "its bytes are no lossless WebP image"
        if self.size not in (None, size):
            return _of_size(size, self.size)
        if size[0] * size[1] > MOST_PIXELS:
            return f"it claims {size[1]} x {size[0]} pixels, more than any generator makes"
        try:
            decode(data)
        except UserError:
            return "its bytes cannot be decoded"
        self._sizes.setdefault(size, []).append(record.cell)
        return ""

    def odd_ones(self) -> Iterator[tuple[Cell, str]]:
        """Of the images seen so far, those that have another size than most, and what is wrong."""
        if len(self._sizes) > 1:
            usual = max(self._sizes, key=lambda size: len(self._sizes[size]))
            for size, cells in self._sizes.items():
                if size != usual:
                    yield from ((cell, _of_size(size, usual)) for cell in cells)


def _claimed_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) in the header of an image as banks store it; None where it is none.

    Nothing is allocated for what the header claims, as decoders do when they open an image.
    """
    if len(data) < _HEAD.size:
        return None
    riff, _, webp, form, _, mark, bits = _HEAD.unpack_from(data)
    if (riff, webp, form, mark) != (b"RIFF", b"WEBP", b"VP8L", 0x2F):
        return None
    return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1


def _bytes_fault(record: ImageRecord, data: bytes) -> str:
    if record.sha256 != hashlib.sha256(data).hexdigest():
        return "its bytes are not those its sha256 names"
    if (record.status == MADE) == (not data):
        return f"its status is {record.status!r} and it has {len(data)} bytes"
    return ""


def _of_size(size: Sequence[int], usual: Sequence[int] | None) -> str:
    there = f" where those of this bank have {usual[1]} x {usual[0]}" if usual else ""
    return f"it has {size[1]} x {size[0]} pixels{there}"


def _fits(value: Any, kind: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool) or not isinstance(value, kind):
        return False
    if isinstance(value, str):
        return len(value) <= MOST_LETTERS
    return not isinstance(value, int) or abs(value) <= _BIGGEST


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
