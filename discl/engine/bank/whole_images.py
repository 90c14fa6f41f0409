"""Images of a level with their aspect kept, decoded from their shards when they are asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from discl.core.errors import UserError
from discl.core.interfaces import Photos
from discl.files import shards
from discl.files.photos import decode, shortened


def image_bytes(folder: Path, shard: str, offset: int, length: int) -> bytes:
    """An image as it is stored; raises UserError where its shard in `folder` cannot be read."""
    try:
        return shards.read(folder, shard, offset, length)
    except shards.BrokenShardError as error:
        raise UserError(f"{error}; run `discl bank verify`, then `discl bank build`") from error


class WholeImages:
    """Images uint8 [h, w, 3] by position, their shorter side `side` pixels.

    `places` are (shard, offset, length) of each, in the order of the level's pixels. Sent to the
    processes that read training images, so it holds three numbers an image.
    """

    def __init__(self, folder: Path, places: Iterable[tuple[str, int, int]], side: int) -> None:
        self._folder = folder
        self._side = side
        numbers: dict[str, int] = {}
        self._places = np.array(
            [
                (numbers.setdefault(shard, len(numbers)), offset, length)
                for shard, offset, length in places
            ],
            np.int64,
        ).reshape(-1, 3)
        self._shards = list(numbers)

    def __len__(self) -> int:
        return len(self._places)

    def __call__(self, position: int) -> Photos:
        """One image; raises UserError where its shard cannot be read."""
        shard, offset, length = self._places[position].tolist()
        data = image_bytes(self._folder, self._shards[shard], offset, length)
        return shortened(decode(data), self._side)
