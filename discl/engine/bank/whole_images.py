"""Images of a level with their aspect kept, decoded from their shards when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.files import shards
from discl.files.photos import decode, shortened

_HASH = 32  # bytes of a SHA-256


def image_bytes(folder: Path, shard: str, offset: int, length: int, sha256: str) -> bytes:
    """An image as it is stored.

    Raises UserError where its shard in `folder` cannot be read, or the bytes are others.
    """
    try:
        return shards.read(folder, shard, offset, length, sha256)
    except shards.BrokenShardError as error:
        raise UserError(f"{error}; run `discl bank verify`, then `discl bank build`") from error


class WholeImages:
    """Images uint8 [h, w, 3] by position, their shorter side `side` pixels.

    `places` are (shard, offset, length, SHA-256) of each, in the order of the level's pixels. Sent
    to the processes that read training images, so it holds three numbers and a hash an image.
    """

    def __init__(
        self, folder: Path, places: Iterable[tuple[str, int, int, str]], side: int
    ) -> None:
        self._folder = folder
        self._side = side
        numbers: dict[str, int] = {}
        columns = [
            (numbers.setdefault(shard, len(numbers)), offset, length, bytes.fromhex(sha256))
            for shard, offset, length, sha256 in places
        ]
        self._places = np.array([column[:3] for column in columns], np.int64).reshape(-1, 3)
        self._hashes = b"".join(column[3] for column in columns)
        self._shards = list(numbers)

    def __len__(self) -> int:
        return len(self._places)

    def __call__(self, position: int) -> Photos:
        """One image; raises UserError where its shard cannot be read."""
        shard, offset, length = self._places[position].tolist()
        at = range(len(self))[position] * _HASH
        sha256 = self._hashes[at : at + _HASH].hex()
        data = image_bytes(self._folder, self._shards[shard], offset, length, sha256)
        return shortened(decode(data), self._side)
