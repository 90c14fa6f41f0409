"""The contents of the photos that a manifest lists, whatever files they lie in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from discl.core.interfaces import Progress
from discl.files.contents import ContentDigests
from discl.files.disk import data_home
from discl.parts.datasets.base.photo_contents import Place, digests_of
from discl.parts.datasets.manifest.held_out import RowPictures
from discl.parts.datasets.manifest.layouts.interface import Layout, TableLayout
from discl.parts.datasets.manifest.tree import path_of


def pictures_of(
    root: Path, layout: Layout, refs: Sequence[str], what: str, progress: Progress
) -> RowPictures:
    """The contents of photos; they are read where they are new or have changed."""
    places = places_of(layout, refs)
    digests = digests_of(
        ContentDigests(data_home(), root), places, partial(cells_of, layout, root), what, progress
    )
    return RowPictures(digests, np.array([place.named for place in places], bool))


def places_of(layout: Layout, refs: Sequence[str]) -> list[Place]:
    """Where whole photos lie."""
    if not isinstance(layout, TableLayout):
        return [Place(path_of(ref)) for ref in refs]
    return [layout.place(ref) or Place(path_of(ref)) for ref in refs]


def cells_of(layout: Layout, root: Path, path: str, column: str) -> Iterable[bytes | None]:
    """The contents of the rows of a table."""
    return layout.cells(root, path, column) if isinstance(layout, TableLayout) else ()
