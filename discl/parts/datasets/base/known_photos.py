"""What is known of a dataset's photos before any of them is here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class KnownPhotos(NamedTuple):
    """Counts, as published or as settings decide them.

    A dataset that knows them before its photos are here has a method `known_photos()` that returns
    these, or None.
    """

    splits: Mapping[str, int]  # name -> photos
    classes: int
    train: tuple[int, ...] = ()  # [c], training photos of each class; () = not known
    # photos of all classes that have fewer training photos than the key, for some keys
    tail: Mapping[int, int] = {}
