"""The images of one level of the bank that a run may use."""

from __future__ import annotations

from typing import NamedTuple

from discl.core.interfaces import Ints


class LevelImages(NamedTuple):
    """Images of one level, ordered by (photo id, variant); a row of these columns per image."""

    row: Ints  # [n], row of the photo in the training split
    variant: Ints  # [n], number of the draw
    position: Ints  # [n], position in the level's pixels
